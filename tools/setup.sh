#!/usr/bin/env bash
# From a fresh clone to a repaired model: installs, builds, and plays the demo: a small hybrid before
# and after fine-tuning on chains of thought, its repair, and what it recalls.
set -euo pipefail
cd "$(dirname "$0")/.."
tools/bootstrap.sh --full
mkdir -p build
cmake --preset release-full >build/release-full-configure.log 2>&1 || { cat build/release-full-configure.log; exit 1; }
cmake --build --preset release-full
build/release-full/apps/anamnesis/anamnesis demo --out build/demo
