#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Times `anamnesis restore` against what people use today, in one run, and checks every bit.

  bench/restore/restore_bench.py --anamnesis build/release/apps/anamnesis/anamnesis --folder DIR

Makes two random bf16 checkpoints in DIR (HypeNet layout, or Qwen3 for mergekit, which does not know
HypeNet), then runs each tool in turn, round after round, and prints medians and ratios to `cp -r`
as a Markdown table and as JSON lines. Needs numpy; `script` needs safetensors and torch, `mergekit`
needs mergekit in the interpreter that runs this file.
"""
import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import time

import numpy as np

KV_HEADS, HEAD_DIM = 8, 128
SCRIPT = r'''
import json, os, shutil, sys
from safetensors import safe_open
from safetensors.torch import load_file, save_file
pre, post, out, layers = sys.argv[1:5]
os.makedirs(out)
routing = {f"model.layers.{l}.self_attn.{p}_proj.weight" for l in layers.split(",") for p in "qk"}
where = json.load(open(os.path.join(pre, "model.safetensors.index.json")))["weight_map"]
for name in sorted(os.listdir(post)):
    if name.endswith(".safetensors"):
        tensors = load_file(os.path.join(post, name))
        for tensor in routing & set(tensors):
            with safe_open(os.path.join(pre, where[tensor]), "pt") as f:
                tensors[tensor] = f.get_tensor(tensor)
        save_file(tensors, os.path.join(out, name), metadata={"format": "pt"})
    else:
        shutil.copy(os.path.join(post, name), out)
'''


class Layout:
    def __init__(self, kind, gigabytes):
        self.kind = kind
        small = kind == "qwen3-small"
        self.d, self.ff, self.heads = (1024, 3072, 16) if small else (4096, 12288, 32)
        self.layers = dict([("hypenet", 8), ("qwen3", 10), ("qwen3-small", 24)])[kind]
        self.softmax = [1, 4] if kind == "hypenet" else list(range(self.layers))
        self.restored = self.softmax if small else [1, 4] if kind == "hypenet" else [1, 4, 7]
        rest = sum(2 * rows * cols for _, (rows, cols) in self.body())
        self.vocab = max(256, int((gigabytes * 1e9 - rest) / 2 / self.d) // 64 * 64)

    def body(self):
        d, ff, wide = self.d, self.ff, self.heads * HEAD_DIM
        for layer in range(self.layers):
            p = f"model.layers.{layer}."
            softmax = layer in self.softmax
            kv = KV_HEADS * HEAD_DIM if softmax else wide
            yield p + "input_layernorm.weight", (1, d)
            yield p + "self_attn.q_proj.weight", (wide, d)
            yield p + "self_attn.k_proj.weight", (kv, d)
            yield p + "self_attn.v_proj.weight", (kv, d)
            yield p + "self_attn.o_proj.weight", (d, wide)
            yield p + "self_attn.q_norm.weight", (1, HEAD_DIM)
            yield p + "self_attn.k_norm.weight", (1, HEAD_DIM)
            if self.kind == "hypenet":
                gate = "o_gate" if softmax else "z_proj"
                yield p + f"self_attn.{gate}.weight", (wide, d)
                if not softmax:
                    yield p + "self_attn.o_norm.weight", (1, wide)
            yield p + "post_attention_layernorm.weight", (1, d)
            yield p + "mlp.gate_proj.weight", (ff, d)
            yield p + "mlp.up_proj.weight", (ff, d)
            yield p + "mlp.down_proj.weight", (d, ff)

    def tensors(self):
        yield "model.embed_tokens.weight", (self.vocab, self.d)
        yield from self.body()
        yield "model.norm.weight", (1, self.d)

    def config(self):
        config = dict(hidden_size=self.d, intermediate_size=self.ff, num_hidden_layers=self.layers,
                      num_attention_heads=self.heads, num_key_value_heads=KV_HEADS, head_dim=HEAD_DIM,
                      vocab_size=self.vocab, rms_norm_eps=1e-6, rope_theta=1e6,
                      tie_word_embeddings=True, torch_dtype="bfloat16", hidden_act="silu",
                      max_position_embeddings=32768)
        if self.kind == "hypenet":
            mixers = ["attn" if l in self.softmax else "lightning-attn" for l in range(self.layers)]
            config.update(model_type="hypenet", architectures=["HypeNetForCausalLM"],
                          mixer_types=mixers, lightning_nh=self.heads, lightning_nkv=self.heads,
                          lightning_head_dim=HEAD_DIM, attn_use_rope=False,
                          attn_use_output_gate=True)
        else:
            config.update(model_type="qwen3", architectures=["Qwen3ForCausalLM"])
        return config

    def write(self, folder, shards, fine_tuned=False):
        os.makedirs(folder)
        tensors = list(self.tensors())
        size = lambda shape: 2 * shape[0] * shape[1]
        room = sum(size(s) for _, s in tensors) / shards
        parts = [[]]
        for tensor in tensors:
            if sum(size(s) for _, s in parts[-1]) >= room and len(parts) < shards:
                parts.append([])
            parts[-1].append(tensor)
        random = np.random.default_rng(1)
        # Both signs, magnitudes 2^-15 to 2; a -0.0 now and then, which arithmetic would lose.
        pool = (random.integers(0, 65536, 1 << 25, dtype=np.uint16) & 0x87FF) | 0x3800
        if fine_tuned:  # the lowest bits of each value, at the distance of a fine-tune
            pool ^= np.random.default_rng(2).integers(0, 8, len(pool), dtype=np.uint16)
        pool[::1021] = 0x8000
        weight_map = {}
        for i, part in enumerate(parts):
            name = f"model-{i + 1:05}-of-{len(parts):05}.safetensors"
            header, offset = {"__metadata__": {"format": "pt"}}, 0
            for tensor, shape in part:
                stored = list(shape) if shape[0] > 1 else [shape[1]]
                header[tensor] = dict(dtype="BF16", shape=stored,
                                      data_offsets=[offset, offset + size(shape)])
                offset += size(shape)
                weight_map[tensor] = name
            text = json.dumps(header).encode()
            text += b" " * (-len(text) % 8)
            with open(os.path.join(folder, name), "wb") as file:
                file.write(len(text).to_bytes(8, "little") + text)
                for _, shape in part:
                    left, start = size(shape) // 2, int(random.integers(1 << 24))
                    while left:
                        piece = pool[start:start + left]
                        file.write(piece.tobytes())
                        left, start = left - len(piece), 0
        total = sum(size(s) for _, s in tensors)
        json.dump(dict(metadata=dict(total_size=total), weight_map=weight_map),
                  open(os.path.join(folder, "model.safetensors.index.json"), "w"))
        json.dump(self.config(), open(os.path.join(folder, "config.json"), "w"))
        return total


def warm(folder):
    for name in os.listdir(folder):
        with open(os.path.join(folder, name), "rb") as file:
            while file.read(1 << 24):
                pass


def run(command, log):
    """Wall seconds, CPU seconds, peak resident MB, exit code."""
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=log, stderr=log)
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    return wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, process.returncode


def mergekit_config(path, pre, post, layers):
    filters = [f"layers.{l}.self_attn.{p}_proj" for l in layers for p in "qk"]
    weights = lambda hit, rest: [dict(filter=f, value=hit) for f in filters] + [dict(value=rest)]
    config = dict(merge_method="linear", base_model=post, parameters=dict(normalize=False),
                  models=[dict(model=post, parameters=dict(weight=weights(0.0, 1.0))),
                          dict(model=pre, parameters=dict(weight=weights(1.0, 0.0)))])
    json.dump(config, open(path, "w"))  # JSON is YAML


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--anamnesis", required=True)
    parser.add_argument("--folder", required=True)
    parser.add_argument("--layout", choices=["hypenet", "qwen3", "qwen3-small"], default="hypenet")
    parser.add_argument("--gigabytes", type=float, default=4.0)
    parser.add_argument("--shards", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tools", default="cp,cp+sync,out,out-no-sync,link,link-no-sync,in-place,patch,script,mergekit")
    options = parser.parse_args()
    root, tools = os.path.abspath(options.folder), options.tools.split(",")
    pre, post, out = (os.path.join(root, name) for name in ("pre", "post", "out"))
    layout = Layout(options.layout, options.gigabytes)
    layers = layout.restored
    restore = [options.anamnesis, "restore", "-q", "--pre", pre, "--post", post,
               "--layers", ",".join(map(str, layers))]
    if not os.path.exists(post):
        shutil.rmtree(pre, ignore_errors=True)
        layout.write(pre, options.shards)
        layout.write(post + ".new", options.shards, fine_tuned=True)
        os.rename(post + ".new", post)
        os.sync()
    log_path = os.path.join(root, "log.txt")
    script = os.path.join(root, "script.py")
    open(script, "w").write(SCRIPT)
    merge = os.path.join(root, "merge.yml")
    mergekit_config(merge, pre, post, layers)
    mergekit = os.path.join(os.path.dirname(sys.executable), "mergekit-yaml")
    commands = {
        "cp": ["cp", "-r", post, out],
        "cp+sync": ["sh", "-c", f"cp -r {post} {out} && sync -f {out}"],
        "out": restore + ["--out", out],
        "out-no-sync": restore + ["--out", out, "--no-sync"],
        "link": restore + ["--out", out, "--link"],
        "link-no-sync": restore + ["--out", out, "--link", "--no-sync"],
        "in-place": restore + ["--in-place"],
        "patch": restore + ["--patch", out + ".safetensors"],
        "script": [sys.executable, script, pre, post, out, ",".join(map(str, layers))],
        "mergekit": [mergekit, merge, out, "--quiet", "--out-shard-size", "1B", "-j", "2"],
    }
    times = {tool: [] for tool in tools}
    peak, cpu, verdict = {}, {}, {}
    for round_number in range(options.rounds):
        for tool in tools:
            if tool in verdict and verdict[tool].startswith("fails"):
                continue
            shutil.rmtree(out, ignore_errors=True)
            if os.path.exists(out + ".safetensors"):
                os.remove(out + ".safetensors")
            os.sync()
            warm(pre)
            warm(post)
            with open(log_path, "wb") as log:
                wall, used, rss, code = run(commands[tool], log)
            if code != 0:
                verdict[tool] = "fails: " + open(log_path, errors="replace").read().strip()[-160:].replace("\n", " ")
                continue
            times[tool].append(wall)
            cpu.setdefault(tool, []).append(used)
            peak[tool] = max(peak.get(tool, 0), rss)
            if round_number == 0 and tool not in ("cp", "cp+sync", "patch"):
                if tool == "in-place":
                    verdict[tool] = "undo brings it back"
                else:
                    check = subprocess.run([options.anamnesis, "verify", "--json", "--pre", pre, "--post", post,
                                            "--repaired", out, "--method", "qk", "--layers", ",".join(map(str, layers))],
                                           capture_output=True, text=True)
                    result = json.loads(check.stdout) if check.stdout else {"deviations": [check.stderr.strip()]}
                    verdict[tool] = "bit-exact" if check.returncode == 0 else \
                        f"{len(result['deviations'])} deviations, first: {result['deviations'][0][:90]}"
            if tool == "in-place":
                subprocess.run([options.anamnesis, "undo", "-q", post], check=True)
    base = statistics.median(times["cp"]) if times.get("cp") else None
    print("| tool | median s | all | / cp -r | CPU s | peak RSS MB | result |\n|---|---|---|---|---|---|---|")
    for tool in tools:
        if not times[tool]:
            print(f"| {tool} | - | - | - | - | - | {verdict.get(tool, '')} |")
            continue
        median = statistics.median(times[tool])
        row = dict(tool=tool, median=round(median, 3), all=[round(t, 2) for t in times[tool]],
                   ratio=round(median / base, 3) if base else None,
                   cpu=round(statistics.median(cpu[tool]), 2), peak_rss_mb=round(peak[tool]),
                   result=verdict.get(tool, ""))
        print(f"| {tool} | {row['median']} | {' '.join(map(str, row['all']))} | {row['ratio']} | {row['cpu']} | "
              f"{row['peak_rss_mb']} | {row['result']} |")
        print(json.dumps(row), file=sys.stderr)
    shutil.rmtree(out, ignore_errors=True)


if __name__ == "__main__":
    main()
