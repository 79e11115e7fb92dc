#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""llama.cpp runs a repaired GGUF file as the safetensors that are repaired and then converted.

  repaired_gguf_test.py --program ANAMNESIS --tokenizer FOLDER

llama.cpp is that of xllamacpp or llama_cpp, in the Python that ANAMNESIS_LLAMA_PYTHON names (python3 where it is not
set). Without either package the test says so and is skipped (exit 77). All weights are float32, so that llama.cpp
rounds no activation.
"""
import argparse
import json
import math
import os
import pathlib
import struct
import subprocess
import sys
import tempfile
from array import array

import tiny_checkpoint

SKIP = 77
PROMPTS = [[10, 20, 30, 40, 50], [391, 7], [100, 101, 102, 103, 104, 105, 106, 107, 12, 300, 5, 6]]


def ask_xllamacpp(path, vocabulary):
    import xllamacpp

    how = xllamacpp.CommonParams()
    how.model.path = path
    how.n_ctx, how.n_gpu_layers, how.warmup, how.verbosity, how.cpuparams.n_threads = 256, 0, False, -1, 1
    how.cache_type_k = how.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_F32
    how.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
    server = xllamacpp.Server(how)
    answers = []
    for prompt in PROMPTS:
        answer = server.handle_completions({"prompt": prompt, "max_tokens": 1, "logprobs": vocabulary, "seed": 1,
                                            "temperature": 1.0, "top_k": 0, "top_p": 1.0, "min_p": 0.0})
        listed = answer["choices"][0]["logprobs"]["content"][0]["top_logprobs"]
        answers.append([one["logprob"] for one in sorted(listed, key=lambda one: one["id"])])
    return answers


def ask_llama_cpp(path, vocabulary):
    import llama_cpp

    model = llama_cpp.Llama(path, n_ctx=256, logits_all=True, type_k=0, type_v=0, verbose=False)
    answers = []
    for prompt in PROMPTS:
        model.reset()
        model.eval(prompt)
        answers.append(to_logprobs([float(value) for value in model.scores[len(prompt) - 1][:vocabulary]]))
    return answers


def to_logprobs(logits):
    most = max(logits)
    total = most + math.log(sum(math.exp(value - most) for value in logits))
    return [value - total for value in logits]


def find_package():
    python = os.environ.get("ANAMNESIS_LLAMA_PYTHON", "python3")
    for package in ("xllamacpp", "llama_cpp"):
        if subprocess.run([python, "-c", f"import {package}"], capture_output=True).returncode == 0:
            return python, package
    print(f"skipped: {python} has neither xllamacpp nor llama_cpp; ANAMNESIS_LLAMA_PYTHON names a Python that has one")
    sys.exit(SKIP)


def run(program, *words):
    done = subprocess.run([program, *map(str, words)], capture_output=True, text=True, timeout=600)
    if done.returncode != 0:
        sys.exit(f"{words[0]} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")


def ask_llama(python, package, path, vocabulary):
    done = subprocess.run([python, __file__, "--worker", package, str(path), str(vocabulary)], capture_output=True,
                          text=True, timeout=600)
    if done.returncode != 0:
        sys.exit(f"{package} does not run {path.name}:\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def ask_here(program, model, scratch, vocabulary):
    answers = []
    for prompt in PROMPTS:
        data = struct.pack(f"<{len(prompt)}q", *prompt)
        header = json.dumps({"input_ids": {"dtype": "I64", "shape": [1, len(prompt)], "data_offsets": [0, len(data)]}})
        header = header.encode() + b" " * (-len(header) % 8)
        (scratch / "ids.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + data)
        run(program, "logits", "--model", model, "--dtype", "f32", "--ids", scratch / "ids.safetensors", "--out",
            scratch / "logits.safetensors")
        # The last tokens are the last values of the file.
        values = array("f", (scratch / "logits.safetensors").read_bytes()[-4 * vocabulary :])
        answers.append(to_logprobs(values))
    return answers


def find_distance(a, b):
    assert [len(one) for one in a] == [len(one) for one in b], "other tokens were told"
    return max(abs(x - y) for one, other in zip(a, b) for x, y in zip(one, other))


def main():
    if sys.argv[1:2] == ["--worker"]:
        package, path, vocabulary = sys.argv[2:]
        print(json.dumps({"xllamacpp": ask_xllamacpp, "llama_cpp": ask_llama_cpp}[package](path, int(vocabulary))))
        return
    parser = argparse.ArgumentParser()
    parser.add_argument("--program", required=True)
    parser.add_argument("--tokenizer", required=True)
    options = parser.parse_args()
    python, package = find_package()
    with tempfile.TemporaryDirectory() as name:
        scratch = pathlib.Path(name)
        pre, _ = tiny_checkpoint.write(scratch, options.tokenizer, "pre", 7)
        post, post_file = tiny_checkpoint.write(scratch, options.tokenizer, "post", 11)
        vocabulary = json.loads((pre / "config.json").read_text())["vocab_size"]
        # Weights that have nothing in common make the largest change.
        restore = ["restore", "--allow", "unrelated", "--pre", pre]
        run(options.program, *restore, "--post", post_file, "--out", scratch / "repaired.gguf")
        run(options.program, *restore, "--post", post, "--out", scratch / "repaired")
        tiny_checkpoint.convert(scratch / "repaired", options.tokenizer, scratch / "converted.gguf")

        def ask(path):
            return ask_llama(python, package, path, vocabulary)

        repaired, converted = ask(scratch / "repaired.gguf"), ask(scratch / "converted.gguf")
        here = ask_here(options.program, scratch / "repaired", scratch, vocabulary)
        change = find_distance(ask(post_file), repaired)
        print(f"{package}: converted {find_distance(repaired, converted):.1e}, this program"
              f" {find_distance(repaired, here):.1e}, unrepaired {change:.1e} (largest distance of log-probabilities)")
        assert find_distance(repaired, converted) == 0.0, "the repaired file is not the converted repair"
        assert find_distance(repaired, here) < 1e-3, "this program computes otherwise"
        assert change > 0.1, "the repair changes nothing, so that nothing was tested"


if __name__ == "__main__":
    main()
