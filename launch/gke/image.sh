#!/usr/bin/env bash
# Builds the image of a training, and pushes it: launch/gke/image.sh FLAGS
#
#   launch/gke/image.sh --image=REGION-docker.pkg.dev/PROJECT/REPO/animatrix:tpu \
#       --target=tpu:v6e:8x8
#
#   --image=IMAGE     its name in a registry that the cluster may read
#   --target=TARGET   as for `animatrix plan`; only whether TPU or GPU matters
#   --dry-run         print the commands, run none
# Needs docker. What git tracks here goes in, as it is on disk.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
# shellcheck source=launch/lib.sh
source "$here/../lib.sh"
image="" target=""
parse_flags "image target" "dry-run" "$@"
[ "${#words[@]}${#rest[@]}" = 00 ] || die "unexpected argument ${words[0]:-${rest[0]:-}}"
require image target
read_target "$target"
need_program docker

# shellcheck disable=SC2154  # read_target sets it
build=(docker build --platform=linux/amd64 "--build-arg=EXTRA=$target_kind"
  --file=launch/gke/Dockerfile "--tag=$image" -)
if [ -n "$dry_run" ]; then
  echo "git -C $(quoted "$root") ls-files -z | tar -C $(quoted "$root") --null -T - -c |" \
    "$(quoted "${build[@]}")"
else
  git -C "$root" ls-files -z | tar -C "$root" --null -T - -c | "${build[@]}"
fi
run docker push "$image"
