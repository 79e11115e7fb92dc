#!/usr/bin/env bash
# From a fresh clone to a repaired checkpoint: installs, builds, makes a small pair of checkpoints,
# and runs the main job on it.
set -euo pipefail
cd "$(dirname "$0")/.."
tools/bootstrap.sh
cmake --preset release >/dev/null
cmake --build --preset release
tools/example.sh build/release/apps/anamnesis/anamnesis
