#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Times `anamnesis restore` of a GGUF file to a new file against `cp`, in one run, sync on both sides.

  bench/restore/gguf_bench.py --anamnesis build/core/apps/anamnesis/anamnesis --folder DIR

Makes a pair of Q4_K files in DIR with the shapes of an 8B Qwen3 (36 layers, 4096 wide) and as many layers
as the size needs, random blocks, and a vocabulary of 150 000 strings. Every round runs `cp` and `restore`
in turn, each followed by `sync`; prints medians, ratios and the time of `inspect`.
"""
import argparse
import os
import statistics
import struct
import subprocess
import time

import numpy as np

WIDTH, HEADS, KV_HEADS, HEAD, FF, VOCABULARY = 4096, 32, 8, 128, 12288, 151936
F32, Q4_K, Q6_K = 0, 12, 14
BLOCK = {F32: (1, 4), Q4_K: (256, 144), Q6_K: (256, 210)}


def text(value):
    raw = value.encode()
    return struct.pack("<Q", len(raw)) + raw


def size_of(dims, kind):
    elements, size = BLOCK[kind]
    return int(np.prod(dims)) // elements * size


def list_tensors(layers):
    yield "token_embd.weight", (WIDTH, VOCABULARY), Q4_K
    for i in range(layers):
        p = f"blk.{i}."
        yield p + "attn_norm.weight", (WIDTH,), F32
        yield p + "attn_q.weight", (WIDTH, HEADS * HEAD), Q4_K
        yield p + "attn_k.weight", (WIDTH, KV_HEADS * HEAD), Q4_K
        yield p + "attn_v.weight", (WIDTH, KV_HEADS * HEAD), Q6_K
        yield p + "attn_q_norm.weight", (HEAD,), F32
        yield p + "attn_k_norm.weight", (HEAD,), F32
        yield p + "attn_output.weight", (HEADS * HEAD, WIDTH), Q4_K
        yield p + "ffn_norm.weight", (WIDTH,), F32
        yield p + "ffn_gate.weight", (WIDTH, FF), Q4_K
        yield p + "ffn_up.weight", (WIDTH, FF), Q4_K
        yield p + "ffn_down.weight", (FF, WIDTH), Q6_K
    yield "output_norm.weight", (WIDTH,), F32
    yield "output.weight", (WIDTH, VOCABULARY), Q6_K


def make_header(layers):
    keys = [("general.architecture", 8, text("qwen3"))]
    for name, value in [("block_count", layers), ("context_length", 40960), ("embedding_length", WIDTH),
                        ("feed_forward_length", FF), ("attention.head_count", HEADS),
                        ("attention.head_count_kv", KV_HEADS), ("attention.key_length", HEAD),
                        ("attention.value_length", HEAD)]:
        keys.append(("qwen3." + name, 4, struct.pack("<I", value)))
    words = b"".join(text(f"token{i}") for i in range(VOCABULARY))
    keys.append(("tokenizer.ggml.tokens", 9, struct.pack("<IQ", 8, VOCABULARY) + words))
    tensors = list(list_tensors(layers))
    header = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(keys))
    header += b"".join(text(name) + struct.pack("<I", kind) + value for name, kind, value in keys)
    offset = 0
    for name, dims, kind in tensors:
        header += text(name) + struct.pack("<I", len(dims)) + struct.pack(f"<{len(dims)}Q", *dims)
        header += struct.pack("<IQ", kind, offset)
        offset += -(-size_of(dims, kind) // 32) * 32
    return header + bytes(-len(header) % 32)


def blocks(generator, dims, kind):
    """Random levels under small scales, so that every value is a number."""
    size = size_of(dims, kind)
    if kind == F32:
        return np.ones(size // 4, np.float32).tobytes()
    data = generator.integers(0, 256, size, np.uint8).reshape(-1, BLOCK[kind][1])
    scale = np.frombuffer(np.float16(0.001).tobytes(), np.uint8)
    at = 0 if kind == Q4_K else 208
    data[:, at:at + 2] = scale
    if kind == Q4_K:
        data[:, 2:4] = scale
    return data.tobytes()


def make_file(path, layers, is_tuned):
    """A fine-tune moves some levels by one."""
    with open(path, "wb") as file:
        file.write(make_header(layers))
        for number, (name, dims, kind) in enumerate(list_tensors(layers)):
            raw = blocks(np.random.default_rng(number), dims, kind)
            if is_tuned and kind == Q4_K:
                data = np.frombuffer(raw, np.uint8).reshape(-1, BLOCK[kind][1]).copy()
                data[:, 16::8] ^= 0x11
                raw = data.tobytes()
            file.write(raw + bytes(-len(raw) % 32))


def run(command):
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - start


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--anamnesis", required=True)
    parser.add_argument("--folder", required=True)
    parser.add_argument("--layers", type=int, default=27, help="27 make 4 GB")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    pre, post, out = (os.path.join(options.folder, name + ".gguf") for name in ("pre", "post", "out"))
    if not os.path.exists(pre):
        make_file(pre, options.layers, False)
        make_file(post, options.layers, True)
    restore = [options.anamnesis, "restore", "--pre", pre, "--post", post, "--out", out]
    times = {"cp": [], "restore": []}
    for _ in range(options.rounds):
        for name, command in [("cp", ["cp", post, out]), ("restore", restore)]:
            for left in (out, out + ".anamnesis.json"):
                if os.path.exists(left):
                    os.remove(left)
            subprocess.run(["sync"], check=True)
            times[name].append(run(command) + run(["sync"]))
    print(f"{os.path.getsize(post) / 1e9:.2f} GB, {options.rounds} rounds, medians in seconds")
    medians = {name: statistics.median(values) for name, values in times.items()}
    for name, value in medians.items():
        print(f"| `{name}` and sync | {value:.2f} | {value / medians['cp']:.2f} | "
              f"{min(times[name]):.2f} to {max(times[name]):.2f} |")
    inspect = [run([options.anamnesis, "inspect", post]) for _ in range(options.rounds)]
    print(f"inspect: {1e3 * statistics.median(inspect):.0f} ms, header of "
          f"{len(make_header(options.layers)) / 1e6:.1f} MB")
    subprocess.run([options.anamnesis, "verify", "--pre", pre, "--post", post, "--repaired", out, "-q"],
                   check=True)


if __name__ == "__main__":
    main()
