#!/usr/bin/env bash
# Makes .venv and installs the package into it: launch/setup.sh [EXTRA]
# EXTRA is "train" (the default), "test", or several: "train,tpu". A second call does
# nothing unless the requirements have changed. Source it to have $PYTHON afterwards.
# ANIMATRIX_PYTHON names a Python 3.11 or 3.12 where none of the usual names is one.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
if [ "${1:-}" = --help ] || [ "${1:-}" = -h ]; then
  sed -n '2,/^[^#]/{s/^# \{0,1\}//p;}' "${BASH_SOURCE[0]}"
  exit 0
fi
extra=${1:-train}
export PYTHON="$root/.venv/bin/python"

find_python() {
  local name
  for name in "${ANIMATRIX_PYTHON:-}" python3.11 python3.12 python3 python; do
    if [ -n "$name" ] && "$name" -c \
      'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 13))' 2>/dev/null; then
      echo "$name"
      return
    fi
  done
  echo "setup: error: Python 3.11 or 3.12 is needed; set ANIMATRIX_PYTHON" >&2
  return 2
}

stamp="$root/.venv/.installed-$extra"
wanted=$(cat "$root/setup.py" "$root/requirements.txt" | cksum)
if [ "$(cat "$stamp" 2>/dev/null)" != "$wanted" ]; then
  if ! "$PYTHON" -m pip --version >/dev/null 2>&1; then
    found=$(find_python) || exit 2
    "$found" -m venv --clear "$root/.venv"
  fi
  echo "setup: installing animatrix-jax[$extra] into .venv" >&2
  "$PYTHON" -m pip install --quiet --disable-pip-version-check \
    -e "${root}[$extra]" >&2
  # skia needs a few shared objects of the desktop that bare machines lack.
  if ! "$PYTHON" -c 'import skia' 2>/dev/null; then
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
      apt-get update -qq >&2
      apt-get install -y -qq libgl1 libegl1 libfontconfig1 >&2
    fi
    "$PYTHON" -c 'import skia' || {
      echo "setup: error: skia needs libgl1 libegl1 libfontconfig1" >&2
      exit 2
    }
  fi
  echo "$wanted" >"$stamp"
fi
