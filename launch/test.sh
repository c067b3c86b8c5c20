#!/usr/bin/env bash
# Installs what the tests need and runs them: launch/test.sh [pytest arguments]
set -euo pipefail
# shellcheck source=launch/setup.sh
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh" test
cd "$root"
exec "$PYTHON" -m pytest "$@"
