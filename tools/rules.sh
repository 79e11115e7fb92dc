#!/usr/bin/env bash
# Sizes of sources and functions, words, links: see tools/rules/check_rules.py.
#
#   tools/rules.sh [--shrink]
set -euo pipefail
cd "$(dirname "$0")/.."
exec python3 tools/rules/check_rules.py "$@"
