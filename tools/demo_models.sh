#!/usr/bin/env bash
# Trains the demo's pair: pre, a small hybrid that recalls, and post, the same after fine-tuning on
# chains of thought; repairs it, and measures all of them.
#
#   tools/demo_models.sh OUT [SEED]
#
# ANAMNESIS names the binary (default: the build with LibTorch).
set -euo pipefail
out=${1:?tools/demo_models.sh OUT [SEED]}
seed=${2:-0}
root=$(cd "$(dirname "$0")/.." && pwd)
anamnesis=${ANAMNESIS:-$root/build/full/apps/anamnesis/anamnesis}
threads=${THREADS:-2}
mkdir -p "$out"
cp "$root/tools/demo_config.json" "$out/config.json"

"$anamnesis" train --init "$out/config.json" --initializer fan_in --seed "$seed" \
  --data synthetic:mix --stages "${PRE_STAGES:-150x32x64,500x20x128,330x12x256}" \
  --lr "${PRE_LR:-3e-3}" --warmup 50 --min-lr-ratio 0.05 --weight-decay 0.01 --save-every 200 \
  --threads "$threads" --out "$out/pre"
"$anamnesis" train --model "$out/pre" --seed "$seed" \
  --data synthetic:cot --stages "${SFT_STAGES:-120x24x112}" \
  --lr "${SFT_LR:-2.5e-3}" --warmup 10 --min-lr-ratio 0.05 --weight-decay 0.01 \
  --threads "$threads" --out "$out/post"
for method in qk q k v pro; do
  [ -e "$out/$method" ] || "$anamnesis" restore --pre "$out/pre" --post "$out/post" \
    --method "$method" --out "$out/$method"
done
"$anamnesis" drift --pre "$out/pre" --post "$out/post"
"$anamnesis" probe --samples "${SAMPLES:-100}" --lengths "${LENGTHS:-128,256,512,1024,2048}" \
  --model "$out/pre" --model "$out/post" --model "$out/qk" --model "$out/q" --model "$out/k" \
  --model "$out/v" --model "$out/pro"
