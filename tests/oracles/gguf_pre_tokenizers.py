#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the pieces of testdata/tokenizer/gguf_pre_tokenizers.json again: what the package tokenizers makes of its texts by
the expressions that stand for each name of `tokenizer.ggml.pre` (of the models' tokenizer.json, else of llama.cpp).

  tests/oracles/gguf_pre_tokenizers.py testdata/tokenizer/gguf_pre_tokenizers.json
"""
import json
import pathlib
import sys

from tokenizers import Regex, pre_tokenizers


def main() -> None:
    path = pathlib.Path(sys.argv[1])
    golden = json.loads(path.read_text())
    for form in golden["forms"]:
        cutting = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(one), "isolated") for one in form["expressions"]])
        form["pieces"] = [[piece for piece, _ in cutting.pre_tokenize_str(text)] for text in golden["texts"]]
    path.write_text(json.dumps(golden, ensure_ascii=False, separators=(",", ":")) + "\n")


main()
