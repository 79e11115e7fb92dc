#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Fine-tunes one real checkpoint with transformers and with `anamnesis train`, on the same batches.

  bench/train/peer_bench.py --anamnesis build/full/apps/anamnesis/anamnesis \\
    --model CHECKPOINT --data chains.jsonl --folder DIR

Trainers, round after round, each in a process of its own:

  eager      transformers in float32, PyTorch's fused AdamW
  autocast   the same with products in bfloat16 (torch.autocast)
  compiled   autocast under torch.compile
  narrow     weights, gradients and moments in bfloat16
  f32, bf16  `anamnesis train --dtype f32|bf16`: the second keeps float32 masters

A trainer's rate is that of its median step after the second one; all tokens count. The rate of bfloat16
products is measured in the same run, on the matrices of the model. Losses are compared step by step with those of
`f32` and of `autocast`. Needs torch, transformers and safetensors in the interpreter that runs this file.
"""
import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import time

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--anamnesis", required=True)
parser.add_argument("--model", required=True, help="a checkpoint with its tokenizer")
parser.add_argument("--data", required=True, help="JSON lines with messages")
parser.add_argument("--folder", required=True, help="where batches and runs are written")
parser.add_argument("--rows", type=int, default=4)
parser.add_argument("--length", type=int, default=512)
parser.add_argument("--steps", type=int, default=10)
parser.add_argument("--rounds", type=int, default=2)
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--lr", type=float, default=1e-4)
parser.add_argument("--trainers", default="eager,autocast,narrow,compiled,f32,bf16")
parser.add_argument("--one", help=argparse.SUPPRESS)
arguments = parser.parse_args()

import torch
from safetensors.torch import load_file, save_file

torch.set_num_threads(arguments.threads)
BETAS, EPS, DECAY, CLIP = (0.9, 0.95), 1e-8, 0.01, 1.0
BATCHES = os.path.join(arguments.folder, "batches.safetensors")


def write_batches():
    """Chats one after another, cut into rows."""
    from transformers import AutoTokenizer
    tokenizer = AutoTokenizer.from_pretrained(arguments.model)
    wanted = arguments.steps * arguments.rows * arguments.length
    ids = []
    for line in open(arguments.data):
        text = tokenizer.apply_chat_template(json.loads(line)["messages"], tokenize=False)
        ids += tokenizer(text, add_special_tokens=False)["input_ids"]
        if len(ids) >= wanted:
            break
    assert len(ids) >= wanted, "not enough data"
    rows = torch.tensor(ids[:wanted]).view(arguments.steps, arguments.rows, arguments.length)
    save_file({"input_ids": rows, "labels": rows.clone()}, BATCHES)


def train_torch(kind):
    from transformers import AutoModelForCausalLM
    model = AutoModelForCausalLM.from_pretrained(
        arguments.model, dtype=torch.bfloat16 if kind == "narrow" else torch.float32)
    model.train()
    run = torch.compile(model) if kind == "compiled" else model
    gains = [p for p in model.parameters() if p.dim() != 2]
    matrices = [p for p in model.parameters() if p.dim() == 2]
    optimiser = torch.optim.AdamW([{"params": matrices, "weight_decay": DECAY}, {"params": gains, "weight_decay": 0.0}],
                                  lr=arguments.lr, betas=BETAS, eps=EPS, fused=True)
    losses, seconds = [], []
    for ids in load_file(BATCHES)["input_ids"]:
        start = time.perf_counter()
        with torch.autocast("cpu", torch.bfloat16, enabled=kind in ("autocast", "compiled")):
            loss = run(input_ids=ids, labels=ids).loss
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)
        optimiser.step()
        losses.append(loss.item())
        seconds.append(time.perf_counter() - start)
    return losses, seconds


def train_anamnesis(dtype):
    out = os.path.join(arguments.folder, dtype)
    shutil.rmtree(out, ignore_errors=True)
    subprocess.run([arguments.anamnesis, "train", "--model", arguments.model, "--batches", BATCHES, "--out", out,
                    "--lr", str(arguments.lr), "--schedule", "constant", "--betas", "{},{}".format(*BETAS),
                    "--eps", str(EPS), "--weight-decay", str(DECAY), "--clip", str(CLIP), "--dtype", dtype,
                    "--threads", str(arguments.threads), "--quiet"], check=True, stdout=subprocess.DEVNULL)
    with open(os.path.join(out, "metrics.jsonl")) as file:
        lines = [json.loads(line) for line in file]
    return [l["loss"] for l in lines], [l["tokens"] / l["tokens_per_second"] for l in lines]


def measure_products():
    """GFLOP/s of a forward and backward pass through the model's matrices in bfloat16."""
    with open(os.path.join(arguments.model, "config.json")) as file:
        config = json.load(file)
    width, inner = config["hidden_size"], config["intermediate_size"]
    rows = arguments.rows * arguments.length
    best = {}
    shapes = [(inner, width), (inner, width), (width, inner), (width, width), (width, width)]
    for _ in range(5):
        for i, (outputs, inputs) in enumerate(shapes):
            x, w = torch.randn(rows, inputs).bfloat16(), torch.randn(outputs, inputs).bfloat16()
            y = torch.randn(rows, outputs).bfloat16()
            for name, product in (("y", lambda: x @ w.t()), ("x", lambda: y @ w), ("w", lambda: y.t() @ x)):
                start = time.perf_counter()
                product()
                best[i, name] = min(best.get((i, name), 1e9), time.perf_counter() - start)
    operations = sum(6 * rows * outputs * inputs for outputs, inputs in shapes)
    return operations / sum(best.values()) / 1e9


def count_operations():
    """Operations of a training step for each token: the matrices', and those of causal attention."""
    with open(os.path.join(arguments.model, "config.json")) as file:
        config = json.load(file)
    values = sum(tensor.numel() for name, tensor in
                 load_file(os.path.join(arguments.model, "model.safetensors")).items() if tensor.dim() == 2)
    if not config.get("tie_word_embeddings"):
        values -= config["vocab_size"] * config["hidden_size"]
    return 6 * values + 6 * config["num_hidden_layers"] * config["hidden_size"] * arguments.length


def main():
    if arguments.one:
        print(json.dumps(train_torch(arguments.one)))
        return
    os.makedirs(arguments.folder, exist_ok=True)
    write_batches()
    trainers = arguments.trainers.split(",")
    rates, losses, products = {t: [] for t in trainers}, {}, []
    for _ in range(arguments.rounds):
        products.append(measure_products())
        for trainer in trainers:
            if trainer in ("f32", "bf16"):
                losses[trainer], seconds = train_anamnesis(trainer)
            else:
                done = subprocess.run([sys.executable, *sys.argv, "--one", trainer], stdout=subprocess.PIPE, text=True)
                if done.returncode != 0:
                    print(f"{trainer}: does not run here", flush=True)
                    continue
                losses[trainer], seconds = json.loads(done.stdout.splitlines()[-1])
            rates[trainer].append(arguments.rows * arguments.length / statistics.median(seconds[2:]))
            print(f"{trainer}: {rates[trainer][-1]:.0f} tokens/s", file=sys.stderr, flush=True)
    product = statistics.median(products)
    operations = count_operations()
    print(f"torch {torch.__version__}, {arguments.threads} threads, {arguments.rows} x {arguments.length} tokens, "
          f"{arguments.steps} steps; bfloat16 products at {product:.0f} GFLOP/s")
    references = [name for name in ("f32", "autocast") if name in losses]
    print("| trainer | tokens/s | share of the product rate |" +
          "".join(f" largest difference of a loss from {name} |" for name in references))
    print("|---" * (3 + len(references)) + "|")
    for trainer in trainers:
        if rates[trainer]:
            rate = statistics.median(rates[trainer])
            differences = [max(abs(a - b) for a, b in zip(losses[trainer], losses[name])) for name in references]
            print(f"| {trainer} | {', '.join(f'{r:.0f}' for r in rates[trainer])} | "
                  f"{100 * rate * operations / product / 1e9:.0f} % |" + "".join(f" {d:.1e} |" for d in differences))


main()
