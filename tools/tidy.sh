#!/usr/bin/env bash
# Runs clang-tidy over the given sources, or over all of ours; findings are errors.
#
#   tools/tidy.sh [file.cpp…]
set -euo pipefail
cd "$(dirname "$0")/.."
# Rooms on LibTorch are looked at where tools/bootstrap.sh --full put it.
torch=OFF
if [ -d .venv ]; then torch=ON; fi
cmake --preset tidy -DANAMNESIS_WITH_TORCH=$torch >/dev/null
if [ "$#" -gt 0 ]; then
  files=("$@")
else
  files=()
  while IFS= read -r -d '' file; do
    files+=("$file")
  done < <(find libs/*/src apps -name '*.cpp' -print0 | sort -z)
fi
# xargs answers 123 where any of its commands failed.
printf '%s\0' "${files[@]}" | xargs -0 -n 1 -P 2 clang-tidy-19 -p build/tidy --quiet
