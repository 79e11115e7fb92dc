#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Trains one model with PyTorch and with `anamnesis train`, from the same weights on the same batches.

  bench/train/train_bench.py --anamnesis build/release/apps/anamnesis/anamnesis \\
    --demo PROTOTYPE --folder DIR

Three trainers, shape after shape and round after round:

  prototype   the prototype's model (core.py) in PyTorch eager, as it is: layers L L S L, d 96
  twin        the same with what HypeNet does otherwise: gains on normed queries and keys in place
              of SiLU, its decays, the output norm over all heads together, lightning scaled
  anamnesis   `anamnesis train --batches` on the twin's weights, as a HypeNet checkpoint

Losses of twin and anamnesis are compared step by step; tokens/s are compared with both. A trainer's
rate is that of its median step; positions that predict something count, batch x (T - 1), for all.
Needs numpy, torch and safetensors in the interpreter that runs this file.
"""
import argparse
import json
import math
import os
import shutil
import statistics
import subprocess
import sys
import time

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--anamnesis", required=True)
parser.add_argument("--demo", required=True, help="folder of the prototype's core.py")
parser.add_argument("--folder", required=True, help="where checkpoints and batches are written")
parser.add_argument("--shapes", default="64x32,128x20,256x12,112x24", help="T x batch")
parser.add_argument("--steps", type=int, default=50)
parser.add_argument("--rounds", type=int, default=3)
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--trainers", default="prototype,twin,anamnesis")
arguments = parser.parse_args()
sys.path.insert(0, arguments.demo)

import numpy as np
import torch
import torch.nn as nn
from safetensors.torch import save_file

import core

torch.set_num_threads(arguments.threads)
EPS = 1e-5
LAYERS = "LLSL"
CONFIG = dict(layers=LAYERS, d=96, dh=32, mlp=192, a=64)
HEADS = CONFIG["d"] // CONFIG["dh"]
NOISE_WEIGHT = 0.05
LEARNING = dict(lr=1e-3, decay=0.01, betas=(0.9, 0.95), eps=1e-8, clip=1.0)


def slopes(heads):
    """HypeNet's decays are exp(-slope): ALiBi's slopes (Press et al. 2022)."""
    regular = lambda n: [2.0 ** (-8 * h / n) for h in range(1, n + 1)]
    lower = 1 << (heads.bit_length() - 1)
    return regular(lower) + regular(2 * lower)[::2][: heads - lower]


class TwinLightning(core.Lightning):
    def __init__(self, d, dh, config):
        super().__init__(d, dh, config)
        self.gq, self.gk = nn.Parameter(torch.ones(dh)), nn.Parameter(torch.ones(dh))
        self.lam = torch.tensor([math.exp(-s) for s in slopes(self.H)], dtype=torch.float64)

    def forward(self, x):
        batch, length, d = x.shape
        heads, dh, chunk = self.H, self.dh, self.C
        within, qd, kd, between, cosine, sine, chunks = self.tabs(length)
        pad = chunks * chunk - length
        if pad:
            x = torch.nn.functional.pad(x, (0, 0, 0, pad))
        split = lambda y: y.view(batch, chunks * chunk, heads, dh).transpose(1, 2)

        def turned(y):
            a, b = y[..., : dh // 2], y[..., dh // 2 :]
            return torch.cat([a * cosine - b * sine, a * sine + b * cosine], -1)

        q = turned(core.rms(split(self.wq(x))) * self.gq) * dh**-0.5
        k = turned(core.rms(split(self.wk(x))) * self.gk)
        shape = (batch, heads, chunks, chunk, dh)
        q, k, v = q.reshape(shape), k.reshape(shape), split(self.wv(x)).reshape(shape)
        o = ((q @ k.transpose(-1, -2)) * within[None, :, None]) @ v
        if chunks > 1:
            added = (k * kd[None, :, None, :, None]).transpose(-1, -2) @ v
            state = torch.matmul(between[None], added.reshape(batch, heads, chunks, dh * dh))
            o = o + (q * qd[None, :, None, :, None]) @ state.view(batch, heads, chunks, dh, dh)
        o = o.reshape(batch, heads, chunks * chunk, dh).transpose(1, 2).reshape(batch, -1, d)
        return self.wo(core.rms(o) * self.on)[:, :length]


class TwinSoftmax(core.Softmax):
    def __init__(self, d, dh, config):
        super().__init__(d, dh, config)
        self.gq, self.gk = nn.Parameter(torch.ones(dh)), nn.Parameter(torch.ones(dh))

    def forward(self, x):
        batch, length, d = x.shape
        split = lambda y: y.view(batch, length, self.H, self.dh).transpose(1, 2)
        q = core.rms(split(self.wq(x))) * self.gq
        k = core.rms(split(self.wk(x))) * self.gk
        scale = torch.log(torch.arange(length).float() + self.a) / math.log(self.a) * self.dh**-0.5
        e = (q * scale[None, None, :, None]) @ k.transpose(-1, -2)
        e = e + torch.triu(torch.full((length, length), -1e9), 1)
        o = (torch.softmax(e, -1) @ split(self.wv(x))).transpose(1, 2).reshape(batch, length, d)
        return self.wo(o)


def make_model(kind):
    torch.manual_seed(0)
    model = core.Model(CONFIG)
    if kind == "twin":
        mixers = nn.ModuleList()
        for mixer, letter in zip(model.mix, LAYERS):
            twin = (TwinSoftmax if letter == "S" else TwinLightning)(CONFIG["d"], CONFIG["dh"], CONFIG)
            twin.load_state_dict(mixer.state_dict(), strict=False)
            mixers.append(twin)
        model.mix = mixers
    return model


def write_checkpoint(model, folder):
    tensors = {"model.embed_tokens.weight": model.emb.weight, "model.norm.weight": model.nf.g,
               "lm_head.weight": model.head.weight}
    width = CONFIG["mlp"]
    for i, (mixer, mlp) in enumerate(zip(model.mix, model.mlp)):
        prefix = f"model.layers.{i}."
        for name in "qkvo":
            tensors[prefix + f"self_attn.{name}_proj.weight"] = getattr(mixer, "w" + name).weight
        tensors[prefix + "self_attn.q_norm.weight"] = mixer.gq
        tensors[prefix + "self_attn.k_norm.weight"] = mixer.gk
        if hasattr(mixer, "on"):
            tensors[prefix + "self_attn.o_norm.weight"] = mixer.on
        tensors[prefix + "mlp.gate_proj.weight"] = mlp.wi.weight[:width]
        tensors[prefix + "mlp.up_proj.weight"] = mlp.wi.weight[width:]
        tensors[prefix + "mlp.down_proj.weight"] = mlp.wo.weight
        tensors[prefix + "input_layernorm.weight"] = model.n1[i].g
        tensors[prefix + "post_attention_layernorm.weight"] = model.n2[i].g
    os.makedirs(folder, exist_ok=True)
    save_file({name: t.detach().clone().contiguous() for name, t in tensors.items()},
              os.path.join(folder, "model.safetensors"), metadata={"format": "pt"})
    config = dict(
        model_type="hypenet", architectures=["HypeNetForCausalLM"], dtype="float32",
        hidden_size=CONFIG["d"], intermediate_size=width, num_hidden_layers=len(LAYERS),
        num_attention_heads=HEADS, num_key_value_heads=HEADS, head_dim=CONFIG["dh"],
        mixer_types=["attn" if c == "S" else "lightning-attn" for c in LAYERS],
        attn_use_rope=False, attn_use_output_gate=False, attn_logits_scaling=f"hype {CONFIG['a']}",
        lightning_nh=HEADS, lightning_nkv=HEADS, lightning_head_dim=CONFIG["dh"],
        lightning_use_qk_norm=True, lightning_use_output_norm=True, lightning_use_output_gate=False,
        lightning_use_rope=True, lightning_scale="1/sqrt(d)", rope_theta=10000.0, rms_norm_eps=EPS,
        hidden_act="silu", max_position_embeddings=4096, tie_word_embeddings=False, vocab_size=core.V)
    with open(os.path.join(folder, "config.json"), "w") as file:
        json.dump(config, file)


def make_batches(length, rows):
    random = np.random.RandomState(1)
    return [core.retr_batch(random, rows, length) for _ in range(arguments.steps)]


def write_batches(batches, path):
    ids = torch.tensor(np.stack([x for x, _ in batches]))
    classes = torch.tensor(np.stack([w for _, w in batches]))
    weights = torch.tensor([NOISE_WEIGHT, 1.0, 0.0])[classes]
    labels = torch.where(classes == 2, torch.full_like(ids, -100), ids)
    save_file(dict(input_ids=ids, labels=labels, weights=weights), path)


def train_torch(kind, batches):
    """Losses, and seconds of each step: forward, backward, clipping, AdamW, as train_eager.py."""
    model = make_model(kind)
    # A gain is one of those that do not decay; the prototype has the rule by dimensions.
    optimiser = core.clip_opt(list(model.parameters()), LEARNING["lr"], LEARNING["decay"], LEARNING["betas"])
    losses, seconds = [], []
    for x, w in batches:
        start = time.perf_counter()
        loss, _ = core.loss_fn(model, x, w, NOISE_WEIGHT)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), LEARNING["clip"])
        optimiser.step()
        losses.append(loss.item())
        seconds.append(time.perf_counter() - start)
    return losses, seconds


def train_anamnesis(checkpoint, batches, out, rows, length):
    shutil.rmtree(out, ignore_errors=True)
    command = [arguments.anamnesis, "train", "--model", checkpoint, "--batches", batches, "--out", out,
               "--lr", str(LEARNING["lr"]), "--schedule", "constant",
               "--betas", "{},{}".format(*LEARNING["betas"]), "--eps", str(LEARNING["eps"]),
               "--weight-decay", str(LEARNING["decay"]), "--clip", str(LEARNING["clip"]),
               "--dtype", "f32", "--threads", str(arguments.threads), "--quiet"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    with open(os.path.join(out, "metrics.jsonl")) as file:
        lines = [json.loads(line) for line in file]
    return [l["loss"] for l in lines], [l["tokens"] / l["tokens_per_second"] for l in lines]


def main():
    os.makedirs(arguments.folder, exist_ok=True)
    checkpoint = os.path.join(arguments.folder, "twin")
    write_checkpoint(make_model("twin"), checkpoint)
    trainers = arguments.trainers.split(",")
    print(f"torch {torch.__version__}, {arguments.threads} threads, {arguments.steps} steps, "
          f"{arguments.rounds} rounds")
    print("| T x batch | " + " | ".join(f"{t} tokens/s" for t in trainers) +
          " | / prototype | / twin | largest difference of a loss |")
    print("|---" * (len(trainers) + 4) + "|")
    for shape in arguments.shapes.split(","):
        length, rows = map(int, shape.split("x"))
        batches = make_batches(length, rows)
        path = os.path.join(arguments.folder, f"batches-{shape}.safetensors")
        write_batches(batches, path)
        losses, rates = {}, {t: [] for t in trainers}
        for _ in range(arguments.rounds):
            for trainer in trainers:
                if trainer == "anamnesis":
                    losses[trainer], seconds = train_anamnesis(
                        checkpoint, path, os.path.join(arguments.folder, "out"), rows, length)
                else:
                    losses[trainer], seconds = train_torch(trainer, batches)
                rates[trainer].append(rows * (length - 1) / statistics.median(seconds))
        middle = {t: statistics.median(r) for t, r in rates.items()}
        ratio = lambda peer: (f"{middle['anamnesis'] / middle[peer]:.2f}"
                              if peer in middle and "anamnesis" in middle else "–")
        difference = "–"
        if "twin" in losses and "anamnesis" in losses:
            worst = max(abs(a - b) / b for a, b in zip(losses["anamnesis"], losses["twin"]))
            difference = f"{worst:.1e}"
        print("| " + " | ".join([shape] + [f"{middle[t]:.0f}" for t in trainers] +
                                [ratio("prototype"), ratio("twin"), difference]) + " |", flush=True)


main()
