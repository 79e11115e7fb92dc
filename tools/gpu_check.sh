#!/usr/bin/env bash
# Builds the model program on a machine with a GPU, proves it right there and measures it: one
# command, at most eight minutes, without a network.
#
#   tools/gpu_check.sh                    all steps; results in $OUT, or build/gpu-check/results
#   tools/gpu_check.sh --steps A,B        only these (--list-steps names them)
#   tools/gpu_check.sh --device cpu       the same with small models, to try the script
#   tools/gpu_check.sh --only-build       configure and compile, nothing else
#     --minutes N                         what all steps together may take (8)
#     --build DIR                         build folder (build/gpu-check)
#     --pack DIR                          what tools/gpu_pack.sh made (.gpu-pack)
#     --jobs N                            compilers at once (all processors)
#     --list-steps, --list-programs, --help
#
# Needs g++, CMake, ninja and a python3 with torch; PYTHON names another python3. Where the pack
# holds programs, they run at once and the build runs beside the tests; otherwise the build comes
# first. gpu_check.json, gpu_check.md and logs.tar.gz are written anew after each step.
set -uo pipefail
cd "$(dirname "$0")/.."

device=cuda
minutes=8
build=build/gpu-check
pack=.gpu-pack
jobs=$(nproc)
wanted=
mode=check
all_steps=(machine build runtime train analysis rates hypenet trace qwen3 hybrid niah qwen3-peer hybrid-peer)
programs=(apps/anamnesis/anamnesis apps/anamnesis/anamnesis-torch libs/runtime/runtime_tests
  libs/train/train_tests libs/analysis/analysis_tests bench/device_bench)

usage() { sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "$0"; }
fail() { echo "tools/gpu_check.sh: $*" >&2; exit 2; }
while [ $# -gt 0 ]; do
  case "$1" in
    --steps) wanted=${2:-}; shift ;;
    --device) device=${2:-}; shift ;;
    --minutes) minutes=${2:-}; shift ;;
    --build) build=${2:-}; shift ;;
    --pack) pack=${2:-}; shift ;;
    --jobs) jobs=${2:-}; shift ;;
    --only-build) mode=build ;;
    --list-steps) printf '%s\n' "${all_steps[@]}"; exit 0 ;;
    --list-programs) printf '%s\n' "${programs[@]}"; exit 0 ;;
    --help | -h) usage; exit 0 ;;
    *) fail "unknown option '$1'; see --help" ;;
  esac
  shift
done
for step in ${wanted//,/ }; do
  printf '%s\n' "${all_steps[@]}" | grep -qx -- "$step" || fail "no step '$step'; see --list-steps"
done
for tool in tar gzip timeout; do
  command -v "$tool" >/dev/null || fail "$tool is missing"
done
python=${PYTHON:-python3}
torch_root=$("$python" -W ignore -c 'import os, torch; print(os.path.dirname(torch.__file__))' 2>/dev/null) ||
  fail "$python has no torch"

mkdir -p "$build"
build=$(cd "$build" && pwd)
prefix=$build/pack
results=${OUT:-$build/results}
logs=$build/logs
steps=$build/steps
bin=$build/bin

unpack_libraries() {
  [ -f "$pack/libraries.tar.xz" ] || fail "$pack/libraries.tar.xz is missing: run tools/gpu_pack.sh where there is a network"
  [ "$prefix/.done" -nt "$pack/libraries.tar.xz" ] && return
  rm -rf "$prefix"
  mkdir -p "$prefix"
  "$python" -W ignore -m tarfile -e "$pack/libraries.tar.xz" "$prefix" || exit
  # Package files name /usr; these libraries lie elsewhere.
  find "$prefix" -name '*.pc' -exec sed -i "s|=/usr\$|=$prefix|; s|=/usr/|=$prefix/|" {} +
  printf '#!/bin/sh\nLD_LIBRARY_PATH=%s exec %s "$@"\n' "$prefix/lib/x86_64-linux-gnu" "$prefix/bin/pkgconf" >"$prefix/bin/pkg-config"
  chmod +x "$prefix/bin/pkg-config"
  touch "$prefix/.done"
}

configure_and_compile() {
  local tool
  for tool in g++ cmake ninja; do
    command -v "$tool" >/dev/null || { echo "$tool is missing"; return 1; }
  done
  local libraries=$prefix/lib/x86_64-linux-gnu
  # An old run path: it also leads libraries to those that they need.
  local link="-Wl,--disable-new-dtags,-rpath,$libraries,-rpath-link,$libraries"
  PKG_CONFIG_LIBDIR=$libraries/pkgconfig:$prefix/share/pkgconfig \
    cmake -S . -B "$build" -G Ninja \
    -DCMAKE_BUILD_TYPE=Release -DCMAKE_CXX_FLAGS_RELEASE="-O2 -DNDEBUG" \
    -DCMAKE_CXX_FLAGS="-isystem $prefix/include -isystem $prefix/include/x86_64-linux-gnu" \
    -DCMAKE_EXE_LINKER_FLAGS="$link" -DCMAKE_PREFIX_PATH="$prefix" \
    -DCMAKE_LIBRARY_PATH="$libraries" -DCMAKE_DISABLE_FIND_PACKAGE_MPI=ON \
    -DPKG_CONFIG_EXECUTABLE="$prefix/bin/pkg-config" -DBLA_VENDOR=Generic \
    -DTorch_DIR="$torch_root/share/cmake/Torch" \
    -DANAMNESIS_WITH_TORCH=ON -DANAMNESIS_BUILD_BENCHMARKS=ON -DANAMNESIS_TESTDATA=testdata \
    ${ANAMNESIS_COMPILER_LAUNCHER:+-DCMAKE_CXX_COMPILER_LAUNCHER=$ANAMNESIS_COMPILER_LAUNCHER} || return
  # What is worth most comes first, should time run out.
  cmake --build "$build" -j "$jobs" --target device_bench runtime_tests || return
  cmake --build "$build" -j "$jobs" --target "${programs[@]##*/}"
}

link_programs() { # from the first folder that has each, flat or as a build; those that are there
  local program path
  rm -rf "$bin"
  mkdir -p "$bin"
  for program in "${programs[@]}"; do
    for path in "${@/%//${program##*/}}" "${@/%//$program}"; do
      if [ -f "$path" ] && [ -x "$path" ]; then
        ln -s "$path" "$bin"
        break
      fi
    done
  done
}

if [ "$mode" = build ]; then
  unpack_libraries
  configure_and_compile
  exit
fi

case "$device" in
  cpu) scale=small lengths=256,512 decode=256 needle_length=1k chunk=256 peer_lengths=256 ;;
  *) scale=full lengths=2048,8192,32768,131072 decode=2048,32768,131072 needle_length=128k chunk=8192
    peer_lengths=2048,8192,32768,131072 ;;
esac
# Weights by the gigabyte: in memory where there is room.
models=$build/models
free_in_memory=$(df --output=avail -B1G /dev/shm 2>/dev/null | tail -1)
if [ "$device" != cpu ] && [ "${free_in_memory:-0}" -ge 32 ]; then
  models=/dev/shm/anamnesis-gpu-check
  trap 'rm -rf "$models"' EXIT
fi
started=$SECONDS
rm -rf "$logs" "$steps"
mkdir -p "$logs" "$steps" "$results" "$models"

is_wanted() { [ -z "$wanted" ] || [[ ",$wanted," == *",$1,"* ]]; }
remaining() { echo $((minutes * 60 - (SECONDS - started))); }
passed() { grep -qs '"status": "passed"' "$steps/$1.json"; }

report() {
  "$python" tools/gpu_check_report.py --steps "$steps" --logs "$logs" --out "$results" \
    --order "$(IFS=,; echo "${all_steps[*]}")" ||
    echo "tools/gpu_check.sh: no report" >&2
}

record() { # step, seconds, limit, exit code, status, reason
  printf '{"step": "%s", "seconds": %s, "limit_s": %s, "exit_code": %s, "status": "%s", "reason": "%s"}\n' \
    "$@" >"$steps/$1.json"
  printf '%-12s %-9s %6.1f s  %s\n' "$1" "$5" "$2" "$6"
}

skip() { record "$1" 0 0 null skipped "$2"; }

now() { date +%s.%N; }

# Runs a command as a step: step, limit in seconds, command. Its output is the step's log.
run_step() {
  local step=$1 limit=$2
  shift 2
  local left
  left=$(remaining)
  if [ "$left" -lt 10 ]; then
    skip "$step" "no time left"
    return 1
  fi
  [ "$left" -ge "$limit" ] || limit=$left
  local begin code status=passed reason=
  begin=$(now)
  timeout -k 5 "$limit" "$@" >"$logs/$step.log" 2>&1
  code=$?
  case $code in
    0) ;;
    124 | 137) status="timed out" reason="stopped after $limit s" ;;
    *) status=failed reason="exit code $code" ;;
  esac
  record "$step" "$(awk -v a="$begin" -v b="$(now)" 'BEGIN { printf "%.1f", b - a }')" "$limit" "$code" "$status" "$reason"
  [ "$code" = 0 ]
}

step_machine() {
  date -u '+date %Y-%m-%dT%H:%M:%SZ'
  git log -1 --format='commit %H' 2>/dev/null || cat "$build/programs/commit" 2>/dev/null
  uname -srm
  grep -m1 'model name' /proc/cpuinfo
  echo "processors $(nproc)"
  g++ --version | head -1
  cmake --version | head -1
  ninja --version
  nvcc --version 2>/dev/null | tail -2
  nvidia-smi --query-gpu=name,memory.total,driver_version,clocks.max.sm,clocks.max.mem --format=csv 2>/dev/null
  "$python" -W ignore tools/gpu_check_report.py --machine "$device"
}

# Programs find LibTorch and the pack's libraries, wherever they were built.
with_libraries() {
  LD_LIBRARY_PATH=$torch_root/lib:$prefix/lib/x86_64-linux-gnu${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH} "$@"
}

device_tests() { # program: the tests that run on a device; without one, on the foreign one
  [ "$device" = cpu ] || export ANAMNESIS_TEST_DEVICE=$device
  with_libraries "$bin/$1" --gtest_filter='*Device*'
}

make_model() { # shape
  [ -f "$models/$1/config.json" ] ||
    with_libraries "$bin/device_bench" make "$models/$1" shape="$1" scale=$scale device="$device"
}

speed() { # shape
  make_model "$1" && with_libraries "$bin/device_bench" speed "$models/$1" device="$device" \
    lengths=$lengths decode=$decode chunk=$chunk
}

peer() { # shape
  make_model "$1" && "$python" -W ignore bench/runtime/peers/device_torch.py "$models/$1" \
    --device "$device" --lengths $peer_lengths --decode $decode
}

trace() {
  make_model hypenet && with_libraries "$bin/device_bench" trace "$models/hypenet" device="$device" \
    length=2048 out="$results/trace.json" && { gzip -f "$results/trace.json" || true; }
}

needles() {
  make_model hypenet && cp testdata/tokenizer/tiny/qwen2/tokenizer.json "$models/hypenet/" || return
  rm -rf "$build/niah"
  local samples=2 depths=5 begin
  begin=$(now)
  with_libraries "$bin/anamnesis" niah --model hypenet="$models/hypenet" --device "$device" \
    --tasks s2 --lengths $needle_length --samples $samples --depths $depths --max-tokens 16 \
    --chunk $chunk --out "$build/niah" || return
  awk -v a="$begin" -v b="$(now)" -v n=$((samples * depths)) -v length_="$needle_length" \
    'BEGIN { printf "{\"what\": \"niah\", \"length\": \"%s\", \"samples\": %d, \"seconds\": %.1f, \"samples_a_minute\": %.1f}\n", length_, n, b - a, 60 * n / (b - a) }'
}

# What a step runs is a function, and timeout runs programs only.
as_step() { # step, limit, function, arguments
  local step=$1 limit=$2
  shift 2
  is_wanted "$step" || return 0
  run_step "$step" "$limit" bash -c "$functions"'; "$@"' gpu_check "$@"
  report
}

# The same for a step that runs a program: step, limit, program, function, arguments.
program_step() {
  local step=$1 limit=$2 program=$3
  shift 3
  if [ -x "$bin/$program" ]; then
    as_step "$step" "$limit" "$@"
  elif is_wanted "$step"; then
    skip "$step" "no $program"
    report
  fi
}

unpack_libraries
has_programs=false
if [ -f "$pack/programs.tar.xz" ]; then
  rm -rf "$build/programs"
  mkdir -p "$build/programs"
  "$python" -W ignore -m tarfile -e "$pack/programs.tar.xz" "$build/programs"
  torch_here=$("$python" -W ignore -c 'import torch; print(torch.__version__)')
  if [ "$torch_here" = "$(cat "$build/programs/torch-version")" ]; then
    link_programs "$build/programs"
    has_programs=true
  else
    echo "the pack's programs are for torch $(cat "$build/programs/torch-version"), here is $torch_here: not used"
  fi
fi
export build prefix jobs torch_root python pack bin device models results scale lengths decode chunk \
  peer_lengths needle_length
functions="programs=(${programs[*]}); $(declare -f)"

as_step machine 30 step_machine
builder=
if "$has_programs"; then
  if is_wanted build; then
    (run_step build 180 nice bash -c "$functions"'; configure_and_compile') &
    builder=$!
  fi
else
  rm -rf "$bin"
  as_step build 240 configure_and_compile
  link_programs "$build"
fi
program_step runtime 120 runtime_tests device_tests runtime_tests
program_step train 90 train_tests device_tests train_tests
program_step analysis 45 analysis_tests device_tests analysis_tests
if [ -n "$builder" ]; then
  wait "$builder"
  report
  link_programs "$build/programs" "$build"
fi
program_step rates 30 device_bench with_libraries "$bin/device_bench" rates device="$device"
program_step hypenet 75 device_bench speed hypenet
program_step trace 40 device_bench trace
program_step qwen3 60 device_bench speed qwen3
program_step hybrid 75 device_bench speed hybrid
program_step niah 75 anamnesis-torch needles
program_step qwen3-peer 60 device_bench peer qwen3
program_step hybrid-peer 60 device_bench peer hybrid
report
echo
cat "$results/gpu_check.md"
! grep -lE '"status": "(failed|timed out)"' "$steps"/*.json >/dev/null
