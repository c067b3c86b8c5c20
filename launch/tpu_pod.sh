#!/usr/bin/env bash
# Trains on TPU VM slices through gcloud: launch/tpu_pod.sh VERB FLAGS [-- TRAIN FLAGS]
#
#   launch/tpu_pod.sh train --name=first --zone=ZONE --target=tpu:v6e:1x1 \
#       --workdir=gs://BUCKET/first -- --config=configs/pico.py:stage=ct
#
# configs/wan.py needs weights and clips too: --config.init.* and --config.data.path, as
# docs/launch.md has them.
#
# Verbs:
#   train    create, install, start, and watch; after a preemption create again and go
#            on from the last checkpoint; at the end delete the slice. The same command
#            again goes on with what is there. Ctrl-C leaves the slice training.
#   create   ask for the slice, and wait until it is there
#   install  copy this checkout to every worker, and install it
#   start    start the training on every worker, in the background
#   status   what the slice and its workers do
#   logs     the log of one worker: --worker=N, --node=N (a slice of several), --follow
#   stop     save and end the training, keep the slice
#   delete   delete the slice: until then it costs money
#
# Flags:
#   --name=NAME       of the slice
#   --zone=ZONE       where it is; --project=ID if it is not gcloud's own
#   --target=TARGET   tpu:v5p:4x4x4 and so on, as for `animatrix plan`
#   --slices=N        that many slices of it, joined by the data centre's network (1)
#   --workdir=gs://BUCKET/PATH     the run's folder
#   --capacity=on-demand|spot|reserved     how the slice is paid (on-demand)
#   --max-restarts=N  how often `train` starts again before it gives up (100)
#   --min-run=SECONDS it gives up too when three runs in a row crash sooner (600)
#   --poll=SECONDS    between two looks (60)
#   --keep            `train` does not delete the slice at its end
#   --service-account=EMAIL --network=NAME --subnetwork=NAME     as gcloud has them
#   --dry-run         print every command, run none; needs no gcloud
#
# Exit codes of `train`: 0 done or stopped, 2 a mistake of the user's (a wrong flag, a
# wrong config), 1 it gave up.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(dirname "$here")
# shellcheck source=launch/lib.sh
source "$here/lib.sh"
name="" zone="" project="" target="" workdir="" capacity=on-demand
slices=1 max_restarts=100 min_run=600 poll=60 keep="" follow="" worker=0 node=0
service_account="" network="" subnetwork=""
parse_flags "name zone project target slices workdir capacity max-restarts min-run poll \
worker node service-account network subnetwork" "keep follow dry-run" "$@"
verb=${words[0]:-}
qr=(gcloud compute tpus queued-resources)

check() {
  case "$verb" in
    train | create | install | start | status | logs | stop | delete) ;;
    "") die "a verb is needed: train, create, install, start, status, logs, stop, delete" ;;
    *) die "no verb '$verb'; there are train, create, install, start, status, logs, stop, delete" ;;
  esac
  [ "${#words[@]}" = 1 ] || die "unexpected argument ${words[1]}"
  require name zone
  check_name "$name"
  whole slices max-restarts min-run poll
  case "$verb" in
    train | create)
      require target
      read_target "$target"
      # shellcheck disable=SC2154  # read_target sets it
      [ "$target_kind" = tpu ] || die "--target=$target: a TPU is expected here"
      ;;
  esac
  case "$verb" in
    train | start)
      require workdir
      [[ $workdir =~ ^gs://[a-z0-9][a-z0-9._-]+/[A-Za-z0-9._/-]+$ ]] ||
        die "--workdir=$workdir: expected gs://BUCKET/PATH"
      check_train_flags
      ;;
    *) [ "${#rest[@]}" = 0 ] || die "$verb takes no flags of train" ;;
  esac
  case "$capacity" in
    on-demand | spot | reserved) ;;
    *) die "--capacity=$capacity: expected on-demand, spot or reserved" ;;
  esac
  need_program gcloud
  place=("--zone=$zone")
  [ -z "$project" ] || place+=("--project=$project")
}

# The state of the queued resource; ABSENT, or UNKNOWN if gcloud cannot say.
slice_state() {
  local said
  if said=$("${qr[@]}" describe "$name" "${place[@]}" '--format=value(state.state)' \
    2>&1); then
    tail -n 1 <<<"$said"
  elif [[ $said == *NOT_FOUND* || $said == *"not found"* ]]; then
    echo ABSENT
  else
    echo UNKNOWN
  fi
}

create_slice() {
  # shellcheck disable=SC2154  # read_target sets them
  local arguments=("--accelerator-type=$tpu_type" "--runtime-version=$tpu_runtime")
  if [ "$slices" -gt 1 ]; then
    arguments+=("--node-count=$slices" "--node-prefix=$name")
  else
    arguments+=("--node-id=$name")
  fi
  case "$capacity" in
    spot) arguments+=(--spot) ;;
    reserved) arguments+=(--reserved) ;;
  esac
  [ -z "$service_account" ] || arguments+=("--service-account=$service_account")
  [ -z "$network" ] || arguments+=("--network=$network")
  [ -z "$subnetwork" ] || arguments+=("--subnetwork=$subnetwork")
  # Without this scope the workers may not write to the bucket.
  run "${qr[@]}" create "$name" "${place[@]}" "${arguments[@]}" \
    --scopes=https://www.googleapis.com/auth/cloud-platform
}

delete_slice() {
  run "${qr[@]}" delete "$name" "${place[@]}" --force --quiet
}

# Waits until the slice is there; 1 if it will never be.
wait_for_slice() {
  local now before=""
  if [ -n "$dry_run" ]; then
    quoted "${qr[@]}" describe "$name" "${place[@]}" '--format=value(state.state)'
    echo "# again every $poll s, until that says ACTIVE"
    return
  fi
  while true; do
    now=$(slice_state)
    [ "$now" = "$before" ] || note "the slice is $now"
    before=$now
    case "$now" in
      ACTIVE) return ;;
      FAILED | SUSPENDED | SUSPENDING | DELETING | ABSENT) return 1 ;;
    esac
    sleep "$poll"
  done
}

# Creates the slice unless it is there; one that was preempted is deleted first. 1 if
# it will never be, 3 if it was refused (no quota, no right, no such zone): gcloud has
# said why, and asking again would not help.
ensure_slice() {
  if [ -z "$dry_run" ]; then
    case "$(slice_state)" in
      ABSENT) ;;
      FAILED | SUSPENDED | SUSPENDING | DELETING) delete_slice ;;
      *)
        note "the slice is there already"
        wait_for_slice
        return
        ;;
    esac
  fi
  create_slice || return 3
  wait_for_slice
}

# on NODE WORKER COMMAND: runs it on workers, which may be `all`.
on() {
  run "${qr[@]}" ssh "$name" "${place[@]}" "--node=$1" "--worker=$2" --quiet \
    "--command=$3"
}

on_all() {
  on all all "bash animatrix/launch/tpu_worker.sh $1"
}

install_all() {
  local archive=${TMPDIR:-/tmp}/animatrix-$name.tar.gz
  if [ -n "$dry_run" ]; then
    echo "git -C $(quoted "$root") ls-files -z | tar -C $(quoted "$root") --null -T -" \
      "-czf $(quoted "$archive")"
  else
    git -C "$root" ls-files -z | tar -C "$root" --null -T - -czf "$archive"
  fi
  run "${qr[@]}" scp "$archive" "$name:animatrix.tar.gz" "${place[@]}" --node=all \
    --worker=all --quiet
  on all all "mkdir -p animatrix && tar -xzf animatrix.tar.gz -C animatrix &&\
 bash animatrix/launch/tpu_worker.sh install"
}

start_all() {
  on_all "start $(quoted "--workdir=$workdir" -- "${rest[@]}")"
}

# Looks once: prints running, done, bad (a mistake of the user's), stopped, failed
# (start again), lost (create again), silent (the slice is there, its workers do not
# answer) or unknown (gcloud does not answer).
look() {
  local lines codes
  # shellcheck disable=SC2154  # read_target sets it
  local expected=$((hosts * slices))
  case "$(slice_state)" in
    ACTIVE) ;;
    UNKNOWN) echo unknown && return ;;
    *) echo lost && return ;;
  esac
  lines=$(on_all state 2>/dev/null | grep '^worker ' || true)
  if [ "$(grep -c . <<<"$lines")" -lt "$expected" ]; then
    echo silent
    return
  fi
  codes=$(cut -d' ' -f3- <<<"$lines" | sort -u)
  case "$codes" in
    *running*) echo running ;;
    "exited 0") echo "done" ;;
    *stopped*) echo stopped ;;
    *"exited 2"*) echo bad ;;
    *) echo failed ;;
  esac
}

# Watches a training that was started; prints how it ended. Workers that stay silent
# for ten looks are given up with their slice.
watch() {
  local now silent=0
  while true; do
    now=$(look)
    case "$now" in
      unknown) ;;
      running) silent=0 ;;
      silent)
        silent=$((silent + 1))
        if [ "$silent" = 10 ]; then
          echo dead
          return
        fi
        ;;
      *)
        echo "$now"
        return
        ;;
    esac
    sleep "$poll"
  done
}

# From whatever is there to the end of the training; prints how it ended.
train_once() {
  local code=0
  # What gcloud prints is for the user to see; only the outcome is for the caller.
  ensure_slice >&2 || code=$?
  case "$code" in
    0) ;;
    3) echo refused && return ;;
    *) echo lost && return ;;
  esac
  if [ "$(look)" != running ]; then
    { install_all && start_all; } >&2 || { echo failed && return; }
  fi
  note "training; follow it with: launch/tpu_pod.sh logs --name=$name --zone=$zone --follow"
  watch
}

finish() {
  if [ -n "$keep" ]; then
    note "the slice is still there and costs money: launch/tpu_pod.sh delete" \
      "--name=$name --zone=$zone"
  else
    delete_slice
  fi
}

dry_train() {
  create_slice
  wait_for_slice
  install_all
  start_all
  on_all state
  echo "# again every $poll s; if the slice is not ACTIVE any more, all of it again," \
    "from delete on, at most $max_restarts times; at the end:"
  [ -n "$keep" ] || delete_slice
}

# crashed SECONDS: counts runs that crashed soon after their start, one after the
# other: 1 when it was one too many, for what crashes at once will do so again.
quick=0
crashed() {
  quick=$(($1 < min_run ? quick + 1 : 0))
  [ "$quick" -lt 3 ]
}

give_up() {
  finish
  note "gave up: $*; the logs are in $workdir/logs"
  exit 1
}

train() {
  local outcome began restarts=0
  if [ -n "$dry_run" ]; then
    dry_train
    return
  fi
  trap 'note "the slice goes on and costs money; the same command watches it again"
    exit 130' INT
  while true; do
    began=$SECONDS
    outcome=$(train_once)
    note "$outcome"
    case "$outcome" in
      done | stopped)
        finish
        return
        ;;
      refused)
        note "the slice was refused; gcloud says why above"
        exit 2
        ;;
      dead) delete_slice ;;
      failed) crashed $((SECONDS - began)) || give_up "it crashed three times in a row" ;;
      bad)
        on all 0 "bash animatrix/launch/tpu_worker.sh logs" || true
        finish
        exit 2
        ;;
    esac
    restarts=$((restarts + 1))
    [ "$restarts" -le "$max_restarts" ] || give_up "$max_restarts restarts"
    note "restart $restarts of $max_restarts"
    sleep "$poll"
  done
}

check
case "$verb" in
  train) train ;;
  create) ensure_slice || die "there is no slice; gcloud says why above" ;;
  install) install_all ;;
  start) start_all ;;
  status)
    run "${qr[@]}" describe "$name" "${place[@]}" '--format=value(state.state)'
    on_all state
    ;;
  logs) on "$node" "$worker" \
    "bash animatrix/launch/tpu_worker.sh logs${follow:+ --follow}" ;;
  stop) on_all stop ;;
  delete) delete_slice ;;
esac
