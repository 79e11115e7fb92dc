#!/usr/bin/env bash
# All tests, from a fresh clone: installs what is missing, checks, and prints a closing count.
#
#   tools/test.sh [options of tools/check.sh]
set -euo pipefail
cd "$(dirname "$0")/.."
needs=(--lint --browser --python --full)
if [ "${1:-}" = --quick ]; then needs=(--lint --browser --python); fi
tools/bootstrap.sh "${needs[@]}"
# The count is of this run: logs of an earlier one, with other options perhaps, must not enter it.
rm -f build/*/ctest.log
tools/check.sh "$@"
# Any failure has ended the script above.
passed=$(cat build/*/ctest.log | grep -cE ' +Passed +[0-9.]+ sec')
skipped=$(cat build/*/ctest.log | grep -cE '\*\*\*Skipped +[0-9.]+ sec') || true
if [ "$skipped" -gt 0 ]; then
  echo "$skipped skipped: what they need is not here; each says what in its ctest.log"
fi
echo "$passed passed, 0 failed"
