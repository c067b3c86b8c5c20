#!/usr/bin/env bash
# What tpu_pod.sh runs on each worker of a slice; it may be called by hand there.
#   tpu_worker.sh install                 Python, the package, the bucket's mount
#   tpu_worker.sh start --workdir=gs://BUCKET/RUN -- TRAIN FLAGS    in the background
#   tpu_worker.sh state | logs [--follow] | stop
# `state` prints one line: "worker HOST running", "exited N", "stopped N" or "idle".
# A run's files are in ~/.animatrix: train.log, pid, code (the exit code), stopped.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(dirname "$here")
# shellcheck source=launch/lib.sh
source "$here/lib.sh"
workdir=""
follow=""
parse_flags "workdir" "follow dry-run" "$@"
verb=${words[0]:-}
files=${ANIMATRIX_STATE:-$HOME/.animatrix}
mkdir -p "$files"

# By name too: after a reboot the number may be another program's.
running() {
  local pid
  pid=$(cat "$files/pid" 2>/dev/null) &&
    grep -qa animatrix_jax "/proc/$pid/cmdline" 2>/dev/null
}

# The TPU VM's system Python is 3.10: uv brings 3.12 without touching the system.
install() {
  export PATH="$HOME/.local/bin:$PATH"
  local packages=() package
  for package in libgl1 libegl1 libfontconfig1; do
    dpkg -s "$package" >/dev/null 2>&1 || packages+=("$package")
  done
  if ! command -v gcsfuse >/dev/null; then
    add_gcsfuse_source
    packages+=(gcsfuse)
  fi
  if [ "${#packages[@]}" != 0 ]; then
    # A fresh VM may still be updating itself: wait for its lock.
    run sudo apt-get -o DPkg::Lock::Timeout=600 update -qq
    run sudo env DEBIAN_FRONTEND=noninteractive NEEDRESTART_MODE=a \
      apt-get -o DPkg::Lock::Timeout=600 install -y -qq "${packages[@]}"
  fi
  command -v uv >/dev/null || run python3 -m pip install --quiet --user uv
  run uv python install --quiet 3.12
  if [ -z "$dry_run" ]; then
    ANIMATRIX_PYTHON=$(uv python find 3.12)
    export ANIMATRIX_PYTHON
  fi
  run "$here/setup.sh" train,tpu
}

add_gcsfuse_source() {
  local key=/usr/share/keyrings/cloud.google.asc
  local host=https://packages.cloud.google.com/apt
  run sudo curl -fsSL "$host/doc/apt-key.gpg" -o "$key"
  run sudo bash -c "echo 'deb [signed-by=$key] $host gcsfuse-$(lsb_release -cs) main' \
    >/etc/apt/sources.list.d/gcsfuse.list"
}

# A bucket's folder as a path here: gs://BUCKET/PATH is /gcs/BUCKET/PATH. No metadata
# are cached: every worker must see at once which checkpoint another has finished.
mounted() {
  local bucket path folder
  if [[ $workdir != gs://* ]]; then
    echo "$workdir"
    return
  fi
  bucket=${workdir#gs://}
  path=${bucket#*/}
  bucket=${bucket%%/*}
  folder=${ANIMATRIX_MOUNTS:-/gcs}/$bucket
  if ! mkdir -p "$folder" 2>/dev/null; then
    sudo mkdir -p "$folder"
    sudo chown "$(id -un)" "$folder"
  fi
  if ! mountpoint -q "$folder"; then
    gcsfuse --implicit-dirs --metadata-cache-ttl-secs=0 \
      --metadata-cache-negative-ttl-secs=0 "$bucket" "$folder" >&2
  fi
  echo "$folder/$path"
}

start() {
  require workdir
  check_train_flags
  if running; then
    note "$(hostname) trains already"
    return
  fi
  rm -f "$files/pid" "$files/code" "$files/stopped"
  local folder tries=0
  folder=$(mounted)
  nohup setsid bash "$here/tpu_worker.sh" supervise --workdir="$folder" -- \
    "${rest[@]}" >/dev/null 2>&1 </dev/null &
  # Whoever asks for the state next must not find a worker that is not yet there.
  until [ -e "$files/pid" ]; do
    tries=$((tries + 1))
    [ "$tries" -lt 100 ] || { note "$(hostname): the run did not start" && exit 1; }
    sleep 0.1
  done
  note "$(hostname) started; its log is $files/train.log"
}

# Runs the training to its end, and leaves its log in the bucket and its exit code here.
supervise() {
  local pid code=0 python=${ANIMATRIX_TRAIN_PYTHON:-$root/.venv/bin/python}
  export TF_CPP_MIN_LOG_LEVEL=3
  export JAX_COMPILATION_CACHE_DIR=${JAX_COMPILATION_CACHE_DIR:-$workdir/.compiled}
  cd "$root"
  echo "--- $(date -u +%FT%TZ) $(quoted animatrix train "${rest[@]}")" \
    >>"$files/train.log"
  "$python" -m animatrix_jax.cli.main train --workdir="$workdir" "${rest[@]}" \
    >>"$files/train.log" 2>&1 &
  pid=$!
  echo "$pid" >"$files/pid"
  wait "$pid" || code=$?
  mkdir -p "$workdir/logs" &&
    cp "$files/train.log" "$workdir/logs/$(hostname).log" || true
  echo "$code" >"$files/code"
}

state() {
  local code
  if running; then
    echo "worker $(hostname) running"
  elif code=$(cat "$files/code" 2>/dev/null); then
    if [ -e "$files/stopped" ]; then
      echo "worker $(hostname) stopped $code"
    else
      echo "worker $(hostname) exited $code"
    fi
  else
    echo "worker $(hostname) idle"
  fi
}

logs() {
  if [ -n "$follow" ]; then
    exec tail -n 100 -F "$files/train.log"
  fi
  tail -n 100 "$files/train.log"
}

# Asks the training to save and end; it does so in its own time.
stop() {
  touch "$files/stopped"
  if running; then
    kill -TERM "$(cat "$files/pid")"
    note "$(hostname) was asked to save and end"
  else
    note "$(hostname) trains nothing"
  fi
}

case "$verb" in
  install | start | supervise | state | logs | stop) "$verb" ;;
  *) die "expected install, start, state, logs or stop, got '$verb'" ;;
esac
