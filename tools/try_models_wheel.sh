#!/usr/bin/env bash
# Tries the installed wheel of the models: every verb's --help, a checkpoint that writes, recall from
# Python, the demo, and what is said where another torch is installed.
#
#   tools/try_models_wheel.sh WHEEL MODELS_WHEEL FOLDER   FOLDER has the environment of tools/try_wheel.sh
set -euo pipefail
wheel=$1 models=$2 folder=$3
source=$PWD
cd "$folder"
unset PYTHONPATH ANAMNESIS_BINARY ANAMNESIS_LIBEXEC
PATH="$PWD/environment/bin:$PATH"

pip install --quiet --find-links "$(dirname "$wheel")" "$models"
anamnesis --version
for verb in $(anamnesis --help | grep -oE '^  [a-z]+ ' | sort -u); do
  anamnesis "$verb" --help >/dev/null
done
python - <<'PYTHON'
import json
import struct

header = json.dumps({"input_ids": {"dtype": "I64", "shape": [1, 3], "data_offsets": [0, 24]}}).encode()
with open("ids.safetensors", "wb") as file:
    file.write(len(header).to_bytes(8, "little") + header + struct.pack("<3q", 1, 2, 3))
PYTHON
anamnesis logits --model pair/post --ids ids.safetensors --out logits.safetensors
anamnesis demo --samples 2 --out demo --quiet
test -s demo/report.html
ANAMNESIS_SOURCE=$source python -m pytest -q -rs -p no:cacheprovider tests/test_niah.py tests/test_command.py

information=$(python -c 'import importlib.metadata as m; print(m.distribution("torch")._path)')
mv "$information" "${information/torch-2.13/torch-2.12}"
sed -i 's/^Version: 2.13/Version: 2.12/' "${information/torch-2.13/torch-2.12}/METADATA"
refused=$(anamnesis generate --model pair/post --prompt x 2>&1 || true)
grep -q "was built against torch 2.13, and torch 2.12.* is installed: pip install 'torch==2.13" <<<"$refused" || { echo "another torch: $refused" >&2; exit 1; }
anamnesis restore --pre pair/pre --post pair/post --out repaired-without-torch --quiet
echo "$refused"
