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
# Any failure has ended the script above. Tests of rooms that share a process are counted by it.
parts='\.part_[0-9]+_of_[0-9]+'
passed=$(cat build/*/ctest.log | grep -vE "$parts" | grep -cE ' +Passed +[0-9.]+ sec') || true
skipped=$(cat build/*/ctest.log | grep -cE '\*\*\*Skipped +[0-9.]+ sec') || true
count_inside() {  # WORD
  cat build/*/Testing/Temporary/LastTest.log | awk -v parts="$parts" -v word="$1" '
    / start time: / { inside = $0 ~ parts }
    inside && $1 == "[" && $2 == word && $4 ~ /^[0-9]+$/ { sum += $4 }
    END { print sum + 0 }'
}
passed=$((passed + $(count_inside PASSED)))
skipped=$((skipped + $(count_inside SKIPPED)))
if [ "$skipped" -gt 0 ]; then
  echo "$skipped skipped: what they need is not here; each says what in Testing/Temporary/LastTest.log of its build"
fi
cat build/*/chance.log 2>/dev/null || true
echo "$passed passed, 0 failed"
