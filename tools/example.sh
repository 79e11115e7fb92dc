#!/usr/bin/env bash
# The main job on an embedded example. 'anamnesis example' writes a small HypeNet-shaped pair: post
# is pre after a change that moved W_Q and W_K of the softmax layers more than the rest.
#
#   tools/example.sh [path of the binary]
set -euo pipefail
anamnesis=${1:-anamnesis}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd_run() { echo "\$ anamnesis $*"; (cd "$folder" && "$anamnesis" "$@"); echo; }
anamnesis=$(command -v "$anamnesis" || true)
anamnesis=$(readlink -f "$anamnesis")
cd_run example pair
cd_run inspect pair/post
cd_run drift --pre pair/pre --post pair/post
cd_run restore --pre pair/pre --post pair/post --out repaired
cd_run verify --pre pair/pre --post pair/post --repaired repaired
