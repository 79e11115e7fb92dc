#!/usr/bin/env bash
# Whether every source is formatted as .clang-format says; exit status 77 where clang-format 19 is not installed.
#
#   tools/format.sh          fails where one is not, and names it
#   tools/format.sh --fix    formats them
set -euo pipefail
cd "$(dirname "$0")/.."
mode=(--dry-run --Werror)
case "${1:-}" in
  '') ;;
  --fix) mode=(-i) ;;
  *) echo "tools/format.sh: unknown option '$1'; see its first lines" >&2; exit 2 ;;
esac
if ! command -v clang-format-19 >/dev/null; then
  echo "tools/format.sh: clang-format-19 is not installed; tools/bootstrap.sh --lint installs it" >&2
  exit 77
fi
git ls-files -z '*.cpp' '*.hpp' | xargs -0 clang-format-19 "${mode[@]}"
