#!/usr/bin/env bash
# The whole programme at pico size, on this machine: launch/local.sh [--smoke]
# Installs into .venv, trains ct, sft, qt, judge and preference, samples, evaluates, and
# leaves runs/local/report.html. Stop it whenever you like: the same command goes on
# where it was. --smoke does the same, tiny, into runs/smoke.
set -euo pipefail

smoke=""
workdir="runs/local"
prompts=48
steps=20
for argument in "$@"; do
  case "$argument" in
    --smoke)
      smoke=",smoke=True"
      workdir="runs/smoke"
      prompts=4
      steps=4
      ;;
    *)
      echo "local: error: unknown argument $argument; there is only --smoke" >&2
      exit 2
      ;;
  esac
done

# shellcheck source=launch/setup.sh
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh" train
cd "$root"
# TensorFlow, behind the TensorBoard writer, is chatty.
export TF_CPP_MIN_LOG_LEVEL=3 TF_ENABLE_ONEDNN_OPTS=0
# What one stage compiled, the next need not.
export JAX_COMPILATION_CACHE_DIR="${JAX_COMPILATION_CACHE_DIR:-$root/runs/.compiled}"
animatrix=("$PYTHON" -m animatrix_jax.cli.main)

for stage in ct sft qt judge preference; do
  "${animatrix[@]}" train --config="configs/pico.py:stage=$stage$smoke" \
    --workdir="$workdir"
done
"${animatrix[@]}" sample --checkpoint="$workdir" --out="$workdir/sample.mp4" \
  --steps="$steps" --prompt="a girl runs along a street" \
  --tags="motion.motion_style=run,camera.camera_motion=pan_left"
"${animatrix[@]}" evaluate --checkpoint="$workdir" --out="$workdir" \
  --prompts="$prompts" --steps="$steps"
echo "Look at $root/$workdir/report.html"
