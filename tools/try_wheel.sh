#!/usr/bin/env bash
# Tries an installed wheel: the command with every verb's --help, a repair and its proof, and the tests
# of the package that need no repository.
#
#   tools/try_wheel.sh WHEEL FOLDER PYTHON   FOLDER holds a copy of python/tests
set -euo pipefail
wheel=$1 folder=$2 python=$3
cd "$folder"
unset PYTHONPATH ANAMNESIS_SOURCE ANAMNESIS_BINARY ANAMNESIS_LIBEXEC
[ -x environment/bin/python ] || "$python" -m venv environment
environment/bin/pip install --quiet "$wheel" pytest numpy
PATH="$PWD/environment/bin:$PATH"

anamnesis --version
verbs=$(anamnesis --help | grep -oE '^  [a-z]+ ' | sort -u)
for verb in $verbs; do
  # Verbs that run a model say what to install.
  if ! text=$(anamnesis "$verb" --help 2>&1); then
    echo "$text" | grep -q "needs anamnesis-torch" || { echo "$verb --help: $text" >&2; exit 1; }
  fi
done
echo "verbs: $(echo $verbs)"
demo=$(anamnesis demo 2>&1 || true)
grep -q "needs anamnesis-torch" <<<"$demo" || { echo "demo: $demo" >&2; exit 1; }
anamnesis example pair --quiet
anamnesis restore --pre pair/pre --post pair/post --out repaired --quiet
anamnesis verify --pre pair/pre --post pair/post --repaired repaired
anamnesis restore --pre pair/pre --post pair/post --method pro --out filtered --quiet
environment/bin/python - <<'PYTHON'
import pathlib

import anamnesis

place = pathlib.Path(anamnesis.__file__).parent
assert "environment" in place.parts and (place / "py.typed").exists() and (place / "_core.pyi").exists()
assert anamnesis.verify("pair/pre", "pair/post", "repaired")
print("package:", anamnesis.__version__, anamnesis.__commit__)
PYTHON
environment/bin/python -m pytest -q -p no:cacheprovider tests
