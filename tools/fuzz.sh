#!/usr/bin/env bash
# Runs every fuzz target for a while: tools/fuzz.sh [seconds a target]
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-60}
cmake --preset fuzz >/dev/null
cmake --build --preset fuzz
for target in build/fuzz/fuzz/*_fuzz; do
  name=$(basename "$target" _fuzz)
  corpus=$(mktemp -d)
  log="build/fuzz/$name.log"
  if ! "$target" "$corpus" "fuzz/corpus/$name" -max_total_time="$seconds" -rss_limit_mb=2000 \
    -timeout=10 -print_final_stats=1 -artifact_prefix="build/fuzz/$name-" >"$log" 2>&1; then
    tail -n 40 "$log" >&2
    echo "fuzz target $name failed; the input is beside build/fuzz/$name-" >&2
    exit 1
  fi
  echo "$name: $(grep -o 'number_of_executed_units: [0-9]*' "$log")"
  rm -rf "$corpus"
done
