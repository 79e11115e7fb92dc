#!/usr/bin/env bash
# What must hold before a change lands: formatting, the rules of the project, a build without warnings,
# all tests (the fuzz corpora among them), the torch-free room tests under sanitizers. Installs nothing: tools/bootstrap.sh does, and tools/test.sh calls both.
#
#   tools/check.sh          that
#   tools/check.sh --quick  without LibTorch and the sanitizers
#   tools/check.sh --all    and 60 s of every fuzz target, and clang-tidy
set -euo pipefail
cd "$(dirname "$0")/.."
mode=${1:-}
needs=(--lint --browser --python --full)
case "$mode" in
  '' | --all) ;;
  --quick) needs=(--lint --browser --python) ;;
  *) echo "tools/check.sh: unknown option '$mode'; see its first lines" >&2; exit 2 ;;
esac
tools/bootstrap.sh --check "${needs[@]}"

# check_tests PRESET TARGET [options of ctest]: builds a target and runs tests; the log stays in
# build/PRESET/ctest.log and what tests say in Testing/Temporary/LastTest.log, where tools/test.sh counts.
check_tests() {
  local preset=$1 target=$2
  shift 2
  mkdir -p "build/$preset"
  rm -f "build/$preset/ctest.log" "build/$preset/chance.log"
  cmake --preset "$preset" >"build/$preset/configure.log" 2>&1 || { tail -n 40 "build/$preset/configure.log"; exit 1; }
  cmake --build --preset "$preset" --target "$target"
  rm -f "build/$preset/Testing/Temporary/LastTest.log"
  local log=build/$preset/ctest.log
  if ! ctest --preset "$preset" -j 2 --no-tests=error --test-output-size-passed 1000000 "$@" >"$log" 2>&1; then
    tail -n 80 "$log"
    echo "== what failed inside them"
    { grep -E -A 12 '(: Failure$|^\[  FAILED  \] |: runtime error: |ERROR: (Address|Leak)Sanitizer)' "$log" || true; } | tail -n 120
    echo "== the same once more"
    local said=build/$preset/Testing/Temporary/LastTest.log
    cp "$said" "$log.said"
    ctest --preset "$preset" --rerun-failed >"$log.again" 2>&1 || { tail -n 80 "$log.again"; exit 1; }
    mv "$log.said" "$said"  # tools/test.sh counts there
    echo "== PASSED THE SECOND TIME: what failed above depends on chance and must be mended" | tee "build/$preset/chance.log"
  fi
  grep -E '% tests passed' "build/$preset/ctest.log"
}

echo "== format"
tools/format.sh

echo "== rules"
tools/rules.sh

echo "== build and tests"
if [ "$mode" = --quick ]; then
  check_tests core all
  exit 0
fi
# All rooms at once: those without LibTorch are the same objects in the preset core. Two tests run at
# a time: threads that wait must not spin.
OMP_WAIT_POLICY=passive check_tests full all

echo "== address and undefined-behaviour sanitizers, room tests and fuzz corpora"
# What is not of a room has run above, and its programs are not built here.
check_tests asan room_tests -LE '\.command' -E '_NOT_BUILT$|^(architecture|docs|install|oracles|gpu_check)\.'

if [ "$mode" = --all ]; then
  echo "== fuzz targets"
  tools/fuzz.sh 60
  echo "== lint"
  tools/tidy.sh
fi
