#!/usr/bin/env bash
# Trains on a GKE cluster, as a JobSet: launch/gke/submit.sh FLAGS -- TRAIN FLAGS
#
#   launch/gke/submit.sh --name=first --target=tpu:v6e:1x1 \
#       --image=REGION-docker.pkg.dev/PROJECT/REPO/animatrix:tpu \
#       --workdir=gs://BUCKET/first -- --config=configs/pico.py:stage=ct
#
# configs/wan.py needs weights and clips too: --config.init.* and --config.data.path, as
# docs/launch.md has them.
#
# kubectl must point at the cluster. Flags:
#   --name=NAME        of the JobSet
#   --target=TARGET    tpu:v5p:4x4x4, gpu:h100:16 and so on, as for `animatrix plan`
#   --slices=N         that many slices of a TPU (1)
#   --image=IMAGE      made by launch/gke/image.sh
#   --workdir=gs://BUCKET/PATH    the run's folder; the bucket is mounted at /gcs/BUCKET
#   --service-account=NAME   Kubernetes' account that may use the bucket (animatrix)
#   --namespace=NAME   (default)
#   --max-restarts=N   after preemptions and crashes (100)
#   --grace=SECONDS    to save in after SIGTERM (600)
#   --queue=NAME       a local queue of Kueue
#   --spot             on spot nodes
#   --host-network     without Kubernetes' network between the pods
#   --dry-run          print the manifest; needs no kubectl
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=launch/lib.sh
source "$here/../lib.sh"
# shellcheck disable=SC2034  # the templates read them
name="" target="" slices=1 image="" workdir="" service_account=animatrix
# shellcheck disable=SC2034
namespace=default max_restarts=100 grace=600 queue="" spot="" host_network=""
parse_flags "name target slices image workdir service-account namespace max-restarts \
grace queue" "spot host-network dry-run" "$@"
[ "${#words[@]}" = 0 ] || die "unexpected argument ${words[0]}"
require name target image workdir
check_name "$name"
whole slices max-restarts grace
read_target "$target"
# shellcheck disable=SC2154  # read_target sets it
[ "$target_kind" = tpu ] || [ "$slices" = 1 ] ||
  die "--slices=$slices: GPUs have no slices; ask for more of them in --target"
[[ $workdir =~ ^gs://([a-z0-9][a-z0-9._-]+)/([A-Za-z0-9._/-]+)$ ]] ||
  die "--workdir=$workdir: expected gs://BUCKET/PATH"
bucket=${BASH_REMATCH[1]}
folder=/gcs/$bucket/${BASH_REMATCH[2]}
for flag in image service_account namespace queue; do
  [[ ${!flag} =~ ^[A-Za-z0-9._:/@-]*$ ]] || die "--${flag//_/-}=${!flag}: not a name"
done
check_train_flags
need_program kubectl

# Names that the templates ask for in "#? NAME" marks and in ${NAME}s.
# shellcheck disable=SC2154,SC2034  # read_target sets hosts; the template reads these
multi_host=$([ "$hosts" = 1 ] || echo 1)
# shellcheck disable=SC2034
command=$(yaml_list animatrix train "--workdir=$folder" "${rest[@]}")

manifest=$(filled "$here/jobset.$target_kind.yaml" name namespace queue max_restarts \
  slices hosts service_account grace gke_accelerator topology image command folder \
  chips_per_host bucket)
if [ -n "$dry_run" ]; then
  echo "$manifest"
else
  kubectl apply -f - <<<"$manifest"
  note "watch it with: kubectl -n $namespace get jobset $name"
fi
