#!/usr/bin/env bash
# What must hold before a change lands: formatting, a build without warnings, all tests (the fuzz
# corpora among them), the rooms that run models, the torch-free tests under sanitizers.
#
#   tools/check.sh          that
#   tools/check.sh --quick  without the sanitizers
#   tools/check.sh --all    and 60 s of every fuzz target, and clang-tidy
set -euo pipefail
cd "$(dirname "$0")/.."
mode=${1:-}
case "$mode" in
  '' | --quick | --all) ;;
  *) echo "tools/check.sh: unknown option '$mode'; see its first lines" >&2; exit 2 ;;
esac
tools/bootstrap.sh --lint --browser

echo "== format"
git ls-files '*.cpp' '*.hpp' | xargs clang-format-19 --dry-run --Werror

echo "== build and tests"
cmake --preset core >/dev/null
cmake --build --preset core
ctest --preset core -j 2 >build/core/ctest.log 2>&1 || { tail -n 80 build/core/ctest.log; exit 1; }
grep -E '% tests passed' build/core/ctest.log
[ "$mode" = --quick ] && exit 0

echo "== rooms that run models, with LibTorch"
# Two tests run at once: threads that wait must not spin.
export OMP_WAIT_POLICY=passive
tools/bootstrap.sh --full
cmake --preset full >build/full-configure.log 2>&1 || { tail -n 40 build/full-configure.log; exit 1; }
cmake --build --preset full --target runtime_tests train_tests analysis_tests \
  reproduction_tests model_cli_tests train_cli_tests analysis_cli_tests reproduction_cli_tests speed_bench device_bench kernels_bench gradients_bench
ctest --preset full -j 2 -L '^(runtime|train|analysis|reproduction|model_cli|train_cli|analysis_cli|reproduction_cli)$' >build/full/ctest.log 2>&1 || { tail -n 80 build/full/ctest.log; exit 1; }
grep -E '% tests passed' build/full/ctest.log

echo "== address and undefined-behaviour sanitizers, room tests and fuzz corpora"
cmake --preset asan >/dev/null
cmake --build --preset asan
ctest --preset asan -j 2 -LE '^(cli|crash|evaluation_cli)$' >build/asan/ctest.log 2>&1 || { tail -n 80 build/asan/ctest.log; exit 1; }
grep -E '% tests passed' build/asan/ctest.log

if [ "$mode" = --all ]; then
  echo "== fuzz targets"
  tools/fuzz.sh 60
  echo "== lint"
  tools/tidy.sh
fi
