#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes testdata/surgery/lfm3: a pair of tiny checkpoints, the rows of its softmax layers, and the digests of every
tensor after a repair.

  tests/oracles/lfm3_surgery.py --out testdata/surgery

Needs torch, safetensors and transformers 5.23. Every single row of every tensor of every softmax attention is
perturbed in the running model, and what reaches queries, keys and values is observed; the plan must say the same.
"""
import argparse
import hashlib
import json
import pathlib

import torch
from safetensors.torch import load_file
from transformers import Lfm3Config, Lfm3ForCausalLM
from transformers.models.lfm3 import modeling_lfm3

HEADS, KV_HEADS, DIM = 4, 2, 8
CONFIG = Lfm3Config(
    vocab_size=97, pad_token_id=0, bos_token_id=1, eos_token_id=2, hidden_size=32, intermediate_size=40, num_hidden_layers=4,
    num_attention_heads=HEADS,
    num_key_value_heads=KV_HEADS, head_dim=DIM, sliding_window=16, attention_bias=True, max_position_embeddings=512,
    layer_types=["conv", "sliding_attention", "conv", "full_attention"], attn_implementation="eager")
KINDS = {"conv": "conv", "sliding_attention": "sliding", "full_attention": "full"}


def span(begin, end):
    return [[begin, end]]


def make_entries():
    entries = []
    for layer, kind in enumerate(CONFIG.layer_types):
        if kind == "conv":
            continue
        sliding = ["sliding"] if kind == "sliding_attention" else []
        module = f"model.layers.{layer}.self_attn."
        for name, role, heads in (("q_proj", "q", HEADS), ("k_proj", "k", KV_HEADS), ("v_proj", "v", KV_HEADS)):
            for part, group in (("weight", "weight"), ("bias", "bias")):
                rows = heads * DIM
                entry = {"tensor": f"{module}{name}.{part}", "layer": layer, "kind": KINDS[kind], "group": group,
                         "rows": rows, "q": [], "k": [], "v": [], "needs": sliding}
                entry[role] = span(0, rows)
                if role != "v":
                    entry[role + "_heads"] = [span(h * DIM, (h + 1) * DIM) for h in range(heads)]
                entries.append(entry)
        for name, role in (("q_norm", "q"), ("k_norm", "k")):
            entry = {"tensor": f"{module}{name}.weight", "layer": layer, "kind": KINDS[kind], "group": "norm",
                     "rows": DIM, "q": [], "k": [], "v": [], "needs": sliding + ["norms"]}
            entry[role] = span(0, DIM)
            entries.append(entry)
    return entries


def observe(model, ids):
    """Queries, keys and values of every softmax layer, as attention gets them."""
    seen = []
    original = modeling_lfm3.eager_attention_forward

    def record(module, query, key, value, *args, **kwargs):
        seen.append((query.clone(), key.clone(), value.clone()))
        return original(module, query, key, value, *args, **kwargs)

    modeling_lfm3.eager_attention_forward = record
    with torch.no_grad():
        model(ids, use_cache=False)
    modeling_lfm3.eager_attention_forward = original
    return seen


def check_rows(model, entries):
    ids = torch.arange(3, 15).unsqueeze(0)
    before = observe(model, ids)
    order = [layer for layer, kind in enumerate(CONFIG.layer_types) if kind != "conv"]
    assert len(before) == len(order), "every softmax layer was observed"
    tensors = dict(model.named_parameters())
    probed = 0
    for entry in entries:
        tensor = tensors[entry["tensor"]]
        for row in range(entry["rows"]):
            kept = tensor.data[row].clone()
            tensor.data[row] += 0.5
            after = observe(model, ids)
            tensor.data[row] = kept
            place = order.index(entry["layer"])
            moved = [role for role, old, new in zip("qkv", before[place], after[place]) if not torch.equal(old, new)]
            planned = [role for role in "qkv" if any(begin <= row < end for begin, end in entry[role])]
            assert moved == planned, (entry["tensor"], row, moved, planned)
            probed += 1
    return probed


def digest(tensor):
    return hashlib.sha256(tensor.contiguous().view(torch.uint8).numpy().tobytes()).hexdigest()


def repair(entries, pre, post, method, switches, layers=None):
    """Post with the rows of pre that the method takes; the bytes that came from pre."""
    result, taken = {}, 0
    for entry in entries:
        if layers is not None and entry["layer"] not in layers or not set(entry["needs"]) <= set(switches):
            continue
        name = entry["tensor"]
        for role in method:
            for begin, end in entry[role]:
                result.setdefault(name, post[name].clone())[begin:end] = pre[name][begin:end]
                taken += pre[name][begin:end].numel() * pre[name].element_size()
    return result, taken


def write_json(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=0) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    folder = parser.parse_args().out / "lfm3"
    torch.manual_seed(77)
    entries = make_entries()
    tensors = {}
    model = Lfm3ForCausalLM(CONFIG).eval()
    for side in ("pre", "post"):
        for parameter in model.parameters():
            parameter.data.add_(torch.randn_like(parameter) * 0.1)
        model.to(torch.bfloat16).save_pretrained(folder / side)
        (folder / side / "generation_config.json").unlink(missing_ok=True)
        model.float()
        if side == "pre":
            probed = check_rows(model, entries)
        tensors[side] = load_file(folder / side / "model.safetensors")
    pre, post = tensors["pre"], tensors["post"]
    write_json(folder / "plan.json", {
        "family": "lfm3", "model_type": "lfm3", "written_by": "transformers 5.23.0 Lfm3ForCausalLM",
        "dtype": {"pre": "bfloat16", "post": "bfloat16"}, "heads": {"query": HEADS, "key": KV_HEADS},
        "proof": {"rows_probed": probed},
        "layers": [{"layer": i, "kinds": [KINDS[kind]]} for i, kind in enumerate(CONFIG.layer_types)],
        "entries": entries})
    write_json(folder / "expected/post.sha256.json",
               {"what": "post as it is", "tensors": {name: digest(post[name]) for name in sorted(post)}})
    for name, method, switches in (("qk", "qk", []), ("q", "q", []), ("k", "k", []), ("v", "v", []),
                                   ("qk.norms", "qk", ["norms"]), ("qk.sliding", "qk", ["sliding"]),
                                   ("k.sliding", "k", ["sliding"])):
        changed, taken = repair(entries, pre, post, method, switches)
        write_json(folder / f"expected/{name}.sha256.json", {
            "method": method, "switches": switches, "layers": None, "bytes_from_pre": taken,
            "changed": sorted(changed), "tensors": {key: digest(changed[key]) for key in sorted(changed)}})
    print(f"{probed} rows probed")


if __name__ == "__main__":
    main()
