#!/usr/bin/env bash
# All tests, from a fresh clone: installs what is missing, checks, and prints a closing count.
#
#   tools/test.sh [options of tools/check.sh]
set -euo pipefail
cd "$(dirname "$0")/.."
tools/check.sh "$@"
passed=0
for log in build/core/ctest.log build/full/ctest.log build/asan/ctest.log; do
  if [ -f "$log" ]; then
    count=$(grep -E '% tests passed' "$log" | grep -oE '[0-9]+$')
    passed=$((passed + count))
  fi
done
# Any failure has ended the script above.
echo "$passed passed, 0 failed"
