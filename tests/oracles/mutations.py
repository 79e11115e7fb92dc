#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Breaks small checkpoints in many ways, repairs them, and lets transformers load what comes out.

  tests/oracles/mutations.py --program build/core/apps/anamnesis/anamnesis --data testdata/surgery

Where `restore --strict` ends with 0, that is without a warning, transformers must load the result whole:
no missing, no misshapen tensor, which it would fill at random. Refusals are counted. Ends with 77 where
transformers, torch or safetensors are absent.
"""
import argparse
import collections
import json
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile

try:
    import torch
    from safetensors.torch import load_file, save_file
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging as transformers_logging
except ImportError as missing:
    print(f"skipped: {missing}")
    sys.exit(77)

FAMILIES = ["llama", "qwen2", "qwen3", "qwen3_next", "gemma3_text", "jamba", "bamba", "falcon_h1", "granitemoehybrid",
            "lfm2", "olmo_hybrid", "phi3", "gpt_neox", "deepseek_v3", "mistral"]


def lose(tensors, name):
    del tensors[name]


def empty(tensors, name):
    tensors[name] = tensors[name][:0].clone()


def halve(tensors, name):
    tensors[name] = tensors[name][: max(1, len(tensors[name]) // 2)].clone()


def narrow(tensors, name):
    tensor = tensors[name]
    tensors[name] = tensor[..., : max(1, tensor.shape[-1] // 2)].contiguous().clone()


def transpose(tensors, name):
    if tensors[name].dim() == 2:
        tensors[name] = tensors[name].t().contiguous().clone()


def rename(tensors, name):
    tensors[name.replace("weight", "weights")] = tensors.pop(name)


def wrap(tensors, _name):
    for name in list(tensors):
        tensors["module." + name] = tensors.pop(name)


def add(tensors, _name):
    tensors["model.layers.0.extra.weight"] = torch.ones(2, 2)


def leave(_tensors, _name):
    pass


MUTATIONS = [lose, empty, halve, narrow, transpose, rename, wrap, add, leave]


def break_checkpoint(folder, mutation, generator):
    files = sorted(folder.glob("*.safetensors"))
    path = generator.choice(files)
    tensors = load_file(path)
    name = generator.choice(sorted(tensors))
    mutation(tensors, name)
    save_file(tensors, path, metadata={"format": "pt"})
    return name


def load(folder):
    """What is wrong with a checkpoint in transformers' eyes; empty: nothing."""
    try:
        _, info = AutoModelForCausalLM.from_pretrained(folder, output_loading_info=True, dtype="auto")
    except Exception as error:  # whatever a library throws is a refusal
        return f"{type(error).__name__}: {str(error)[:120]}"
    wrong = [f"{key}: {sorted(map(str, info[key]))[:2]}" for key in ("missing_keys", "mismatched_keys") if info[key]]
    return "; ".join(wrong)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--program", required=True)
    parser.add_argument("--data", required=True, type=pathlib.Path)
    parser.add_argument("--rounds", type=int, default=2)
    arguments = parser.parse_args()
    transformers_logging.set_verbosity_error()
    generator = random.Random(7)
    counts = collections.Counter()
    failures = 0
    for family in FAMILIES:
        source = arguments.data / family
        if not (source / "post").is_dir():
            continue
        untouched = load(source / "post")
        if untouched:
            print(f"{family}: transformers does not load the pair itself ({untouched}); left out")
            continue
        for mutation in MUTATIONS * arguments.rounds:
            with tempfile.TemporaryDirectory() as scratch:
                post = pathlib.Path(scratch) / "post"
                out = pathlib.Path(scratch) / "out"
                shutil.copytree(source / "post", post)
                name = break_checkpoint(post, mutation, generator)
                done = subprocess.run(
                    [arguments.program, "restore", "--pre", source / "pre", "--post", post, "--out", out,
                     "--strict"],
                    capture_output=True, text=True, check=False)
                if done.returncode != 0:
                    counts[f"{mutation.__name__}: refused ({done.returncode})"] += 1
                    continue
                wrong = load(out)
                counts[f"{mutation.__name__}: {'loads' if not wrong else 'does not load'}"] += 1
                if wrong:
                    failures += 1
                    print(f"{family}: {mutation.__name__} {name}: no warning, and transformers says {wrong}")
    for outcome, count in sorted(counts.items()):
        print(f"{count:6} {outcome}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
