#!/usr/bin/env bash
# Installs what a build needs on Debian 12, by package name.
#
#   tools/bootstrap.sh            compilers, libraries, test tools
#   tools/bootstrap.sh --lint     and clang-format, clang-tidy, libFuzzer (clang 19)
#   tools/bootstrap.sh --browser  and what looks at the pages in tests (Chromium, poppler)
#   tools/bootstrap.sh --python   and what the Python module is built and tested with, in .venv
#   tools/bootstrap.sh --wheel    and what makes the wheel a small one: static BLIS and LAPACK
#   tools/bootstrap.sh --full     and a virtual environment .venv with LibTorch (the torch wheel), and MPI; with
#                                 --python also transformers with its server, peft, TRL, openai and lm_eval, which tests use
#   tools/bootstrap.sh --check …  installs nothing; says what is missing, and fails where anything is
set -euo pipefail
cd "$(dirname "$0")/.."

packages=(g++ git python3 cmake ninja-build ccache binutils libopenblas-dev libblas-dev pkg-config libpcre2-dev libutf8proc-dev liblapack-dev libgmp-dev
  nlohmann-json3-dev libfmt-dev libcli11-dev libssl-dev openssl libgtest-dev libgmock-dev libbenchmark-dev libcpp-httplib-dev)
want_torch=false
want_python=false
python_modules=(nanobind numpy pandas pytest)
# With torch: the libraries of fine-tuners that the Python package has hooks for, a server, and clients of `serve`.
peer_modules=('transformers[serving]==5.24.0' accelerate==1.15.0 peft==0.21.2 trl==1.16.0 datasets==5.2.0 openai==3.57.0
  'lm_eval[api]==0.4.13')
only_checks=false
for argument in "$@"; do
  case "$argument" in
    --lint) packages+=(clang-19 clang-tidy-19 clang-format-19 libclang-rt-19-dev libomp-19-dev) ;;
    --browser) packages+=(chromium poppler-utils) ;;
    --python) want_python=true; packages+=(python3-venv python3-dev) ;;
    --wheel) packages+=(python3-venv python3-dev libblis-pthread-dev libgfortran-12-dev) ;;
    --check) only_checks=true ;;
    --full) want_torch=true; packages+=(python3-venv libopenmpi-dev openmpi-bin) ;;
    *) echo "tools/bootstrap.sh: unknown option '$argument'; see its first lines" >&2; exit 2 ;;
  esac
done

missing=()
for package in "${packages[@]}"; do
  dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
done
if "$only_checks"; then
  if "$want_torch" && ! .venv/bin/python -c 'import importlib.metadata as m; assert m.version("torch").startswith("2.13.0")' 2>/dev/null; then
    missing+=("torch 2.13.0 in .venv")
  fi
  if "$want_python"; then
    for module in "${python_modules[@]}"; do
      .venv/bin/python -c "import $module" 2>/dev/null || missing+=("$module in .venv")
    done
  fi
  if "$want_torch" && "$want_python"; then
    for module in "${peer_modules[@]}"; do
      name=${module%==*}
      .venv/bin/python -c "import importlib.metadata as m; assert m.version('${name%[*}') == '${module#*==}'" 2>/dev/null ||
        missing+=("$module in .venv")
    done
  fi
  if [ "${#missing[@]}" -gt 0 ]; then
    echo "missing: $(printf '%s, ' "${missing[@]}" | sed 's/, $//')" >&2
    arguments=()
    for argument in "$@"; do [ "$argument" = --check ] || arguments+=("$argument"); done
    echo "install it with: tools/bootstrap.sh ${arguments[*]}" >&2
    exit 1
  fi
  exit 0
fi
if [ "${#missing[@]}" -gt 0 ]; then
  sudo=()
  [ "$(id -u)" = 0 ] || sudo=(sudo)
  "${sudo[@]}" apt-get update -qq
  "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"
fi

if "$want_python"; then
  [ -x .venv/bin/python ] || python3 -m venv .venv
  .venv/bin/pip install --quiet "${python_modules[@]}"
fi
if "$want_torch"; then
  [ -x .venv/bin/python ] || python3 -m venv .venv
  .venv/bin/pip install --quiet torch==2.13.0
  # A CUDA build sums gradients by NCCL, whose header needs more of CUDA's than the wheel brings.
  cuda=$(.venv/bin/python -W ignore -c 'import torch; print(torch.version.cuda or "")')
  [ -z "$cuda" ] || .venv/bin/pip install --quiet "nvidia-cuda-crt==$cuda.*" "nvidia-cuda-cccl==$cuda.*"
  if "$want_python"; then .venv/bin/pip install --quiet "${peer_modules[@]}"; fi
fi
