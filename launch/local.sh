#!/usr/bin/env bash
# The whole programme, on this machine:
#   launch/local.sh [--size=pico] [--smoke] [--dry-run]
# Installs into .venv, trains ct, sft, qt, judge and preference, samples, evaluates, and
# leaves runs/local/report.html, with samples of the shipped nano beside the run's own: at
# pico size, in some 20 minutes of two cores. --size=nano is the model that ships, from
# nothing, into runs/nano: its VAE, its text tower, the same stages and AniCaption;
# its VAE and ct are a quarter of an hour of one H100, or days of two cores
# (docs/decisions/0006-nano.md). Stop it whenever you like: the same command goes on where it
# was. --smoke does the same, tiny, into runs/smoke (or runs/smoke_nano). --dry-run prints the
# commands, and runs and installs nothing.
set -euo pipefail

here=$(dirname "${BASH_SOURCE[0]}")
# shellcheck source=launch/lib.sh
source "$here/lib.sh"
smoke="" size=pico beside=""
parse_flags "size" "smoke dry-run" "$@"
[ "${#words[@]}${#rest[@]}" = 00 ] ||
  die "unexpected argument ${words[0]:-${rest[0]:-}}; --help explains"
programme=(ct sft qt judge preference)
case "$size" in
  pico)
    stages=("${programme[@]/#/pico.py:stage=}")
    workdir="runs/local"
    beside="--beside=nano"
    who="girl with purple twintails"
    ;;
  nano)
    stages=(vae text "${programme[@]}")
    captioner=(caption_experts caption caption_preference)
    stages=("${stages[@]/#/nano.py:stage=}" "${captioner[@]/#/caption.py:stage=}")
    workdir="runs/nano"
    who="girl with pink twintails"
    ;;
  *) die "--size=$size is neither pico nor nano" ;;
esac
prompts=48
steps=20
if [ -n "$smoke" ]; then
  smoke=",smoke=True"
  [ "$size" = pico ] && workdir="runs/smoke" || workdir="runs/smoke_$size"
  prompts=4
  steps=4
fi

root=$(cd "$here/.." && pwd)
if [ -n "$dry_run" ]; then
  PYTHON=.venv/bin/python
  run launch/setup.sh train
else
  # shellcheck source=launch/setup.sh
  source "$here/setup.sh" train
fi
cd "$root"
# TensorFlow, behind the TensorBoard writer, is chatty.
export TF_CPP_MIN_LOG_LEVEL=3 TF_ENABLE_ONEDNN_OPTS=0
# Large arrays on large pages, where the C library can (glibc 2.35): docs/performance.md.
export GLIBC_TUNABLES="${GLIBC_TUNABLES:-glibc.malloc.hugetlb=1}"
# What one stage compiled, the next need not.
export JAX_COMPILATION_CACHE_DIR="${JAX_COMPILATION_CACHE_DIR:-$root/runs/.compiled}"
animatrix=("$PYTHON" -m animatrix_jax.cli.main)

for stage in "${stages[@]}"; do
  run "${animatrix[@]}" train --config="configs/$stage$smoke" --workdir="$workdir"
done
run "${animatrix[@]}" sample --checkpoint="$workdir" --out="$workdir/sample.mp4" \
  --steps="$steps" --scale=8 \
  --prompt="A $who talks against a plain white background." \
  --tags="style.rendering=two_tone_cel,style.line=thin_clean,style.proportion=stylized" \
  --tags="style.palette=natural,style.background=white,motion.motion_style=dialogue" \
  --tags="motion.deformation=none,camera.shot_size=bust,camera.angle=eye" \
  --tags="camera.camera_motion=fix,vfx.impact=none,vfx.lines=none,vfx.manpu=none" \
  --tags="vfx.elemental=none"
run "${animatrix[@]}" evaluate --checkpoint="$workdir" --out="$workdir" \
  --prompts="$prompts" --steps="$steps" ${beside:+"$beside"}
echo "Look at $root/$workdir/report.html"
