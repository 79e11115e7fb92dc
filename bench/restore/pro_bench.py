#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Times QK-Pro through the command on the softmax layers of HypeNet-9B, five lambdas in one pass.

  bench/restore/pro_bench.py --anamnesis build/release/apps/anamnesis/anamnesis --folder DIR

Writes two random bf16 checkpoints with the nine softmax layers alone (W_Q 4096 x 4096, 8 key heads
of 128 rows), then `restore --method pro --patch` with one patch a lambda; medians of five. The ratio
to the naive d x d form of one head is measured by qk_pro_bench.
"""
import argparse
import json
import os
import statistics
import subprocess
import time

import numpy as np

LAYERS, HIDDEN, HEADS, KV_HEADS, HEAD_DIM = 9, 4096, 32, 8, 128
LAMBDAS = "0.01,0.1,1,10,100"


def write(folder, seed):
    os.makedirs(folder)
    random = np.random.default_rng(seed)
    header, offset, blobs = {"__metadata__": {"format": "pt"}}, 0, []
    for layer in range(LAYERS):
        p = f"model.layers.{layer}.self_attn."
        wide, kv = HEADS * HEAD_DIM, KV_HEADS * HEAD_DIM
        for name, shape in (("q_proj", (wide, HIDDEN)), ("k_proj", (kv, HIDDEN)), ("v_proj", (kv, HIDDEN)),
                            ("o_proj", (HIDDEN, wide)), ("o_gate", (wide, HIDDEN)),
                            ("q_norm", (HEAD_DIM,)), ("k_norm", (HEAD_DIM,))):
            size = 2 * int(np.prod(shape))
            header[p + name + ".weight"] = dict(dtype="BF16", shape=list(shape), data_offsets=[offset, offset + size])
            offset += size
            values = random.standard_normal(shape, dtype=np.float32) * 0.02
            blobs.append((values.view(np.uint32) >> 16).astype(np.uint16))
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(os.path.join(folder, "model.safetensors"), "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for blob in blobs:
            file.write(blob.tobytes())
    json.dump(dict(model_type="hypenet", hidden_size=HIDDEN, num_hidden_layers=LAYERS, num_attention_heads=HEADS,
                   num_key_value_heads=KV_HEADS, head_dim=HEAD_DIM, mixer_types=["attn"] * LAYERS, vocab_size=151936,
                   attn_use_rope=False, attn_use_output_gate=True, tie_word_embeddings=True),
              open(os.path.join(folder, "config.json"), "w"))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--anamnesis", required=True)
    parser.add_argument("--folder", required=True)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    pre, post = (os.path.join(options.folder, name) for name in ("pre", "post"))
    if not os.path.exists(post):
        write(pre, 1)
        write(post, 2)
    for threads in (2, 1):
        times = []
        for _ in range(options.rounds):
            for name in os.listdir(options.folder):
                if name.startswith("patch"):
                    os.remove(os.path.join(options.folder, name))
            start = time.perf_counter()
            process = subprocess.Popen([options.anamnesis, "restore", "-q", "--pre", pre, "--post", post, "--method", "pro",
                                        "--lambda-rel", LAMBDAS, "--threads", str(threads),
                                        "--patch", os.path.join(options.folder, "patch.safetensors")])
            _, status, usage = os.wait4(process.pid, 0)
            times.append(time.perf_counter() - start)
            assert status == 0
        print(json.dumps(dict(threads=threads, median_s=round(statistics.median(times), 2),
                              all=[round(t, 2) for t in times], peak_rss_mb=round(usage.ru_maxrss / 1024))))


if __name__ == "__main__":
    main()
