#!/usr/bin/env bash
# The pages of docs/ as a site, with mkdocs-material from PyPI in an environment of its own (build/docs-tools).
#
#   tools/docs.sh          the site, in build/site; a link that leads nowhere is an error
#   tools/docs.sh serve    shows it at http://127.0.0.1:8000, and anew whenever a page changes
#   tools/docs.sh check    builds it into a scratch folder; installs nothing, and ends with 77 without mkdocs
set -euo pipefail
cd "$(dirname "$0")/.."
tools=build/docs-tools
# Else mkdocs-material tells of its successor on every run.
export NO_MKDOCS_2_WARNING=1
mode=${1:-build}
case "$mode" in
  build | serve) ;;
  check)
    if ! cmp -s tools/docs/requirements.txt $tools/installed.txt; then
      echo "mkdocs is not installed as tools/docs/requirements.txt says; tools/docs.sh does that"
      exit 77
    fi
    scratch=$(mktemp -d)
    trap 'rm -rf "$scratch"' EXIT
    $tools/bin/mkdocs build --strict --site-dir "$scratch/site"
    exit
    ;;
  *) echo "tools/docs.sh: unknown option '$mode'; see its first lines" >&2; exit 2 ;;
esac
if ! cmp -s tools/docs/requirements.txt $tools/installed.txt; then
  python3 -m venv --clear $tools
  $tools/bin/pip install --quiet --requirement tools/docs/requirements.txt
  cp tools/docs/requirements.txt $tools/installed.txt
fi
if [ "$mode" = serve ]; then
  exec $tools/bin/mkdocs serve
fi
$tools/bin/mkdocs build --strict
