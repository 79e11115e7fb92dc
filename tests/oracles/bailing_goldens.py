#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes bailing_moe_linear_odd and bailing_moe_v2_5_odd of testdata/models.

  tests/oracles/bailing_goldens.py --out testdata/models [NAME ...]

No library has these two families, and their published code needs kernels for GPUs. The forward pass here is written
from a reading of inclusionAI/Ring-V2.5 ae5a5d9 (models/modeling_bailing_moe_v2_5.py; fla's simple GLA is written as its
recurrence) and, for what 2.0 has in place of latent attention, of sglang's and mlx-lm's bailing_moe_linear.py. It
computes in float64 from weights stored in bfloat16 (router corrections in float32). Needs torch and safetensors.
"""
import json
import math
import platform

import torch
from safetensors.torch import save_file

from golden_files import make_asked, relative_rms, write_expected

SHARED = {
    "vocab_size": 53, "hidden_size": 28, "intermediate_size": 40, "moe_intermediate_size": 10, "num_hidden_layers": 4,
    "layer_group_size": 2, "num_attention_heads": 6, "num_key_value_heads": 3, "head_dim": 8, "group_norm_size": 3,
    "num_experts": 8, "num_experts_per_tok": 2, "num_shared_experts": 1, "n_group": 4, "topk_group": 2,
    "routed_scaling_factor": 2.5, "norm_topk_prob": True, "score_function": "sigmoid", "first_k_dense_replace": 1,
    "moe_router_enable_expert_bias": True, "use_qk_norm": True, "use_bias": False, "use_qkv_bias": False,
    "hidden_act": "silu", "rms_norm_eps": 1e-3, "rope_theta": 10000.0, "rope_scaling": None,
    "partial_rotary_factor": 0.5, "max_position_embeddings": 512, "tie_word_embeddings": False}
VARIANTS = {
    "bailing_moe_linear_odd": SHARED | {
        "model_type": "bailing_moe_linear", "architectures": ["BailingMoeLinearV2ForCausalLM"]},
    # The last of five layers is no whole group: it has softmax attention too.
    "bailing_moe_v2_5_odd": SHARED | {
        "model_type": "bailing_moe_v2_5", "architectures": ["BailingMoeV2_5ForCausalLM"], "num_hidden_layers": 5,
        "q_lora_rank": 14, "kv_lora_rank": 12, "qk_nope_head_dim": 8, "qk_rope_head_dim": 4, "v_head_dim": 10,
        "rope_interleave": True}}


def rms(x, gain, eps):
    return gain * (x / (x.square().mean(-1, keepdim=True) + eps).sqrt())


def angles(positions, rows, theta):
    return positions[:, None].double() * theta ** (-torch.arange(0, rows, 2, dtype=torch.float64) / rows)


def turn_halves(x, theta, rows):
    """x [T, heads, D]: row j with row j + rows / 2."""
    phi = angles(torch.arange(len(x)), rows, theta)[:, None]
    first, second = x[..., : rows // 2], x[..., rows // 2 : rows]
    return torch.cat([first * phi.cos() - second * phi.sin(), second * phi.cos() + first * phi.sin(), x[..., rows:]], -1)


def turn_neighbours(x, theta):
    """x [T, heads, D]: row 2j with row 2j + 1. The order in which they come out is that of both queries and keys."""
    phi = angles(torch.arange(len(x)), x.shape[-1], theta)[:, None]
    first, second = x[..., 0::2], x[..., 1::2]
    return torch.cat([first * phi.cos() - second * phi.sin(), second * phi.cos() + first * phi.sin()], -1)


def softmax_attention(q, k, v):
    """q, k [T, heads, D], v [T, heads, E], causal."""
    scores = torch.einsum("thd,shd->hts", q, k) / math.sqrt(q.shape[-1])
    hidden = torch.ones(len(q), len(q), dtype=torch.bool).triu(1)
    return torch.einsum("hts,she->the", scores.masked_fill(hidden, -math.inf).softmax(-1), v)


def slopes_of(heads):
    below = 2 ** int(math.log2(heads))
    powers = lambda n: [2.0 ** (-8.0 * (i + 1) / n) for i in range(n)]
    return torch.tensor(powers(below) + powers(2 * below)[0::2][: heads - below], dtype=torch.float64)


class Model:
    """`is_narrow` rounds what goes into and comes out of norms to bfloat16, as a run in that type does at least."""

    def __init__(self, config, weights, is_narrow=False):
        self.c, self.w = config, {name: tensor.double() for name, tensor in weights.items()}
        self.rounded = (lambda x: x.bfloat16().double()) if is_narrow else (lambda x: x)
        self.margin = math.inf  # of the experts chosen so far

    def norm(self, x, gain, eps):
        return self.rounded(rms(self.rounded(x), gain, eps))

    def is_softmax(self, layer):
        group, count = self.c["layer_group_size"], self.c["num_hidden_layers"]
        return (layer + 1) % group == 0 or layer >= count // group * group

    def lightning(self, x, layer, at):
        c, heads, dim = self.c, self.c["num_attention_heads"], self.c["head_dim"]
        rows = (x @ at("query_key_value.weight").T).view(len(x), 3 * heads, dim)
        q, k, v = rows.split(heads, 1)
        turned = int(dim * c["partial_rotary_factor"])
        q = turn_halves(self.norm(q, at("query_layernorm.weight"), c["rms_norm_eps"]), c["rope_theta"], turned)
        k = turn_halves(self.norm(k, at("key_layernorm.weight"), c["rms_norm_eps"]), c["rope_theta"], turned)
        factor = 1 - (layer - 1) / (c["num_hidden_layers"] - 1) + 1e-5
        keep = torch.exp(-slopes_of(heads) * factor)[:, None, None]
        state, outputs = torch.zeros(heads, dim, dim, dtype=torch.float64), []
        for t in range(len(x)):
            state = keep * state + k[t][:, :, None] * v[t][:, None, :]
            outputs.append(torch.einsum("hd,hde->he", q[t] * dim ** -0.5, state))
        groups = torch.stack(outputs).view(len(x), c["group_norm_size"], -1)
        y = self.norm(groups, 1.0, c["rms_norm_eps"]).reshape(len(x), -1) * at("g_norm.weight")
        return (y * (x @ at("g_proj.weight").T).sigmoid()) @ at("dense.weight").T

    def grouped(self, x, at):
        c, heads, kv, dim = self.c, self.c["num_attention_heads"], self.c["num_key_value_heads"], self.c["head_dim"]
        q, k, v = (x @ at("query_key_value.weight").T).view(len(x), heads + 2 * kv, dim).split([heads, kv, kv], 1)
        turned = int(dim * c["partial_rotary_factor"])
        q = turn_halves(self.norm(q, at("query_layernorm.weight"), c["rms_norm_eps"]), c["rope_theta"], turned)
        k = turn_halves(self.norm(k, at("key_layernorm.weight"), c["rms_norm_eps"]), c["rope_theta"], turned)
        k, v = (part.repeat_interleave(heads // kv, 1) for part in (k, v))
        return softmax_attention(q, k, v).flatten(1) @ at("dense.weight").T

    def latent(self, x, at):
        c, heads, nope, rope = (self.c, self.c["num_attention_heads"], self.c["qk_nope_head_dim"],
                                self.c["qk_rope_head_dim"])
        # The norms of both latents have an eps of their own.
        low = self.norm(x @ at("q_a_proj.weight").T, at("q_a_layernorm.weight"), 1e-6)
        q = (low @ at("q_b_proj.weight").T).view(len(x), heads, nope + rope)
        latent, shared = (x @ at("kv_a_proj_with_mqa.weight").T).split([c["kv_lora_rank"], rope], 1)
        both = self.norm(latent, at("kv_a_layernorm.weight"), 1e-6) @ at("kv_b_proj.weight").T
        k, v = both.view(len(x), heads, -1).split([nope, c["v_head_dim"]], -1)
        shared = turn_neighbours(shared[:, None], c["rope_theta"]).expand(-1, heads, -1)
        q = torch.cat([q[..., :nope], turn_neighbours(q[..., nope:], c["rope_theta"])], -1)
        return softmax_attention(q, torch.cat([k, shared], -1), v).flatten(1) @ at("dense.weight").T

    def swiglu(self, x, name):
        gate, up, down = (self.w[f"{name}.{part}_proj.weight"] for part in ("gate", "up", "down"))
        return (torch.nn.functional.silu(x @ gate.T) * (x @ up.T)) @ down.T

    def experts(self, x, name):
        c = self.c
        scores = (x @ self.w[f"{name}.gate.weight"].T).sigmoid()
        ranked = scores + self.w[f"{name}.gate.expert_bias"]
        groups = ranked.view(len(x), c["n_group"], -1).topk(2, -1).values.sum(-1)
        order = groups.sort(-1, descending=True)
        kept = torch.zeros_like(groups).scatter(1, order.indices[:, : c["topk_group"]], 1).bool()
        masked = ranked.view(len(x), c["n_group"], -1).masked_fill(~kept[..., None], -math.inf).flatten(1)
        best = masked.sort(-1, descending=True)
        top = c["num_experts_per_tok"]
        for values, count in ((order.values, c["topk_group"]), (best.values, top)):
            self.margin = min(self.margin, (values[:, count - 1] - values[:, count]).min().item())
        chosen = best.indices[:, :top]
        weights = scores.gather(1, chosen)
        weights = weights / (weights.sum(-1, keepdim=True) + 1e-20) * c["routed_scaling_factor"]
        y = self.swiglu(x, f"{name}.shared_experts")
        for expert in range(c["num_experts"]):
            share = (weights * (chosen == expert)).sum(-1, keepdim=True)
            y = y + share * self.swiglu(x, f"{name}.experts.{expert}")
        return y

    def run(self, ids):
        """Logits, the stream before and after each layer, the final norm, of one text."""
        eps, streams = self.c["rms_norm_eps"], []
        x = self.w["model.word_embeddings.weight"][ids]
        for layer in range(self.c["num_hidden_layers"]):
            streams.append(x)
            name = f"model.layers.{layer}"
            at = lambda part: self.w[f"{name}.attention.{part}"]
            h = self.norm(x, self.w[f"{name}.input_layernorm.weight"], eps)
            mix = (lambda: self.lightning(h, layer, at)) if not self.is_softmax(layer) else (
                lambda: self.latent(h, at) if "kv_lora_rank" in self.c else self.grouped(h, at))
            x = x + mix()
            h = self.norm(x, self.w[f"{name}.post_attention_layernorm.weight"], eps)
            is_dense = layer < self.c["first_k_dense_replace"]
            x = x + (self.swiglu(h, f"{name}.mlp") if is_dense else self.experts(h, f"{name}.mlp"))
        streams.append(x)
        final = self.norm(x, self.w["model.norm.weight"], eps)
        return final @ self.w["lm_head.weight"].T, streams, final


def shapes_of(config):
    c, d = config, config["hidden_size"]
    heads, kv, dim = c["num_attention_heads"], c["num_key_value_heads"], c["head_dim"]
    shapes = {"model.word_embeddings.weight": (c["vocab_size"], d), "model.norm.weight": (d,),
              "lm_head.weight": (c["vocab_size"], d)}

    def add_swiglu(name, width):
        shapes.update({f"{name}.gate_proj.weight": (width, d), f"{name}.up_proj.weight": (width, d),
                       f"{name}.down_proj.weight": (d, width)})

    model = Model(c, {})
    for layer in range(c["num_hidden_layers"]):
        name = f"model.layers.{layer}"
        parts = {"input_layernorm.weight": (d,), "post_attention_layernorm.weight": (d,)}
        norms = {"attention.query_layernorm.weight": (dim,), "attention.key_layernorm.weight": (dim,)}
        if not model.is_softmax(layer):
            parts |= norms | {"attention.query_key_value.weight": (3 * heads * dim, d),
                              "attention.g_proj.weight": (heads * dim, d), "attention.g_norm.weight": (heads * dim,),
                              "attention.dense.weight": (d, heads * dim)}
        elif "kv_lora_rank" in c:
            low, rank = c["q_lora_rank"], c["kv_lora_rank"]
            nope, rope, value = c["qk_nope_head_dim"], c["qk_rope_head_dim"], c["v_head_dim"]
            parts |= {"attention.q_a_proj.weight": (low, d), "attention.q_a_layernorm.weight": (low,),
                      "attention.q_b_proj.weight": (heads * (nope + rope), low),
                      "attention.kv_a_proj_with_mqa.weight": (rank + rope, d),
                      "attention.kv_a_layernorm.weight": (rank,),
                      "attention.kv_b_proj.weight": (heads * (nope + value), rank),
                      "attention.dense.weight": (d, heads * value)}
        else:
            parts |= norms | {"attention.query_key_value.weight": ((heads + 2 * kv) * dim, d),
                              "attention.dense.weight": (d, heads * dim)}
        shapes.update({f"{name}.{part}": shape for part, shape in parts.items()})
        if layer < c["first_k_dense_replace"]:
            add_swiglu(f"{name}.mlp", c["intermediate_size"])
            continue
        shapes[f"{name}.mlp.gate.weight"] = (c["num_experts"], d)
        shapes[f"{name}.mlp.gate.expert_bias"] = (c["num_experts"],)
        add_swiglu(f"{name}.mlp.shared_experts", c["moe_intermediate_size"] * c["num_shared_experts"])
        for expert in range(c["num_experts"]):
            add_swiglu(f"{name}.mlp.experts.{expert}", c["moe_intermediate_size"])
    return shapes


def draw(config, generator):
    weights = {}
    for name, shape in shapes_of(config).items():
        noise = torch.randn(shape, generator=generator)
        if name.endswith("expert_bias"):
            weights[name] = torch.rand(shape, generator=generator) * 0.4 - 0.2
            continue
        deviation = 0.1 + 0.1 * torch.rand((), generator=generator).item()
        is_gain = len(shape) == 1
        tensor = 1 + 0.25 * noise if is_gain else noise * (1.0 if "word_embeddings" in name else deviation)
        weights[name] = tensor.bfloat16()
    return weights


@torch.no_grad()
def make(name, out):
    config = VARIANTS[name]
    for seed in range(1, 2000):
        generator = torch.Generator().manual_seed(seed)
        weights = draw(config, generator)
        model = Model(config, weights)
        ids = torch.randint(0, config["vocab_size"], (1, 150), generator=generator)
        short = torch.randint(0, config["vocab_size"], (2, 7), generator=generator)
        whole, chosen, margin = ids[0], [], math.inf
        results = {"": [model.run(ids[0])], "short.": [model.run(row) for row in short]}
        if model.margin < 3e-4:
            continue
        for _ in range(16):
            best = model.run(whole)[0][-1].topk(2)
            margin = min(margin, (best.values[0] - best.values[1]).item())
            chosen.append(best.indices[0])
            whole = torch.cat([whole, best.indices[:1]])
            if margin < 0.02:
                break
        if margin < 0.02 or len(set(map(int, chosen))) < 4 or model.margin < 3e-4:
            continue
        tensors = {"input_ids": ids, "short.input_ids": short, "greedy": torch.stack(chosen)[None]}
        for prefix, rows in results.items():
            tensors[prefix + "logits"] = torch.stack([row[0] for row in rows]).float()
        tensors["short.final_norm"] = torch.stack([row[2] for row in results["short."]]).float()
        for i in range(config["num_hidden_layers"] + 1):
            tensors[f"short.hidden_states.{i}"] = torch.stack([row[1][i] for row in results["short."]]).float()
        meta = {"variant": name, "class": "tests/oracles/bailing_goldens.py", "seed": seed,
                "versions": {"torch": torch.__version__, "python": platform.python_version()},
                "weights_dtype": "bfloat16", "computed_in": "float64",
                "bfloat16_against_float64_relative_rms": {
                    "logits": relative_rms(Model(config, weights, is_narrow=True).run(ids[0])[0], results[""][0][0])},
                "greedy_smallest_margin": margin}
        folder = out / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "config.json").write_text(json.dumps(config, indent=1, sort_keys=True) + "\n")
        save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
        write_expected(folder, tensors, meta)
        return
    raise SystemExit(f"{name}: no seed fits")


if __name__ == "__main__":
    make_asked(__doc__, VARIANTS, make)
