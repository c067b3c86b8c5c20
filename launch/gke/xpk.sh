#!/usr/bin/env bash
# Trains on a cluster that xpk made: launch/gke/xpk.sh VERB FLAGS [-- TRAIN FLAGS]
#
#   launch/gke/xpk.sh attach --cluster=C --zone=Z --workdir=gs://BUCKET/mine
#   launch/gke/xpk.sh submit --cluster=C --zone=Z --name=first --target=tpu:v6e:1x1 \
#       --image=IMAGE --workdir=gs://BUCKET/first -- --config=configs/pico.py:stage=ct
#
# configs/wan.py needs weights and clips too: --config.init.* and --config.data.path, as
# docs/launch.md has them.
#
# Verbs:
#   attach   mount the bucket in all workloads of the cluster, once a cluster
#   submit   create the workload
#   list     the workloads of the cluster
#   delete   delete the workload
# Flags:
#   --cluster=NAME --zone=ZONE --project=ID    as xpk has them
#   --name=NAME        of the workload
#   --target=TARGET    tpu:v5p:4x4x4, gpu:h100:16 and so on, as for `animatrix plan`
#   --slices=N         that many slices of a TPU (1)
#   --image=IMAGE      made by launch/gke/image.sh
#   --workdir=gs://BUCKET/PATH     the run's folder; the bucket is mounted at /gcs/BUCKET
#   --max-restarts=N   after preemptions and crashes (100)
#   --grace=SECONDS    to save in after SIGTERM (600)
#   --priority=LEVEL   very-low, low, medium, high or very-high (medium)
#   --dry-run          print the command, run none; needs no xpk
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=launch/lib.sh
source "$here/../lib.sh"
cluster="" zone="" project="" name="" target="" slices=1 image="" workdir=""
max_restarts=100 grace=600 priority=medium
parse_flags "cluster zone project name target slices image workdir max-restarts grace \
priority" "dry-run" "$@"
verb=${words[0]:-}
[ "${#words[@]}" -le 1 ] || die "unexpected argument ${words[1]}"
require cluster zone
whole slices max-restarts grace
place=("--cluster=$cluster" "--zone=$zone")
[ -z "$project" ] || place+=("--project=$project")

read_workdir() {
  require workdir
  [[ $workdir =~ ^gs://([a-z0-9][a-z0-9._-]+)/([A-Za-z0-9._/-]+)$ ]] ||
    die "--workdir=$workdir: expected gs://BUCKET/PATH"
  bucket=${BASH_REMATCH[1]}
  folder=/gcs/$bucket/${BASH_REMATCH[2]}
}

attach() {
  read_workdir
  run xpk storage attach "${bucket//[._]/-}" "${place[@]}" --type=gcsfuse \
    "--bucket=$bucket" "--mount-point=/gcs/$bucket" --readonly=false --auto-mount=true \
    --size=1 --mount-options=implicit-dirs,metadata-cache:ttl-secs:0,metadata-cache:negative-ttl-secs:0
}

# What xpk tells a GPU node of the others, in the names that jax and we read.
# shellcheck disable=SC2016  # the node's shell puts the values in
gpu_environment='export JAX_NUM_PROCESSES=$NNODES JAX_PROCESS_ID=$NODE_RANK '
# shellcheck disable=SC2016
gpu_environment+='JAX_COORDINATOR_ADDRESS=$JAX_COORDINATOR_ADDRESS:$JAX_COORDINATOR_PORT; '

# What xpk calls a GPU node.
device_type() {
  echo "${gke_accelerator#nvidia-}-$chips_per_host"
}

submit() {
  local device train
  require name target image
  read_workdir
  check_name "$name"
  read_target "$target"
  check_train_flags
  [[ "${rest[*]}" != *\"* ]] || die "xpk cannot pass a flag with a double quote in it"
  train=$(quoted animatrix train "--workdir=$folder" "${rest[@]}")
  # xpk's shell hands SIGTERM to what it started: exec makes that the training itself.
  # shellcheck disable=SC2154  # read_target sets them
  if [ "$target_kind" = tpu ]; then
    device=("--tpu-type=$tpu_type" "--num-slices=$slices")
    train="exec $train"
  else
    [ "$slices" = 1 ] ||
      die "--slices=$slices: GPUs have no slices; ask for more of them in --target"
    device=("--device-type=$(device_type)" "--num-nodes=$hosts")
    train="${gpu_environment}exec $train"
  fi
  run xpk workload create "${place[@]}" "--workload=$name" "${device[@]}" \
    "--docker-image=$image" "--max-restarts=$max_restarts" \
    "--termination-grace-period-seconds=$grace" "--priority=$priority" \
    "--command=$train"
}

need_program xpk
case "$verb" in
  attach | submit) "$verb" ;;
  list) run xpk workload list "${place[@]}" ;;
  delete)
    require name
    run xpk workload delete "${place[@]}" "--workload=$name"
    ;;
  *) die "expected attach, submit, list or delete, got '$verb'" ;;
esac
