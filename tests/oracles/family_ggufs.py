#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes testdata/gguf/running: models of testdata/models (and of the collection beside the project) as GGUF files,
in BF16 and F32, with the first 40 tokens (20 of `llama`) of what transformers computes from them.

  tests/oracles/family_ggufs.py --models testdata/models --models ../shared/data/golden/models --out testdata/gguf/running

Needs numpy, torch, safetensors and gguf, whose own table gives the names of tensors. What else a converter does
(stacks of experts, rows within heads, gains, decays, squeezed kernels) follows llama.cpp's convert_hf_to_gguf.
"""
import argparse
import json
import pathlib

import gguf
import numpy
import torch
from safetensors.torch import load_file, save_file

# The architecture and the model of each folder.
SOURCES = {"gemma": ("gemma", "gemma_base"), "gemma3": ("gemma3", "gemma3_hub_config"),
           "granitehybrid": ("granitehybrid", "granitemoehybrid_base"), "lfm2": ("lfm2", "lfm2_base"),
           "lfm2moe": ("lfm2moe", "lfm2_moe_base"), "llama-scaled": ("llama", "llama_scaled"),
           "mixtral": ("llama", "mixtral_base"), "nemotron_h_moe": ("nemotron_h_moe", "nemotron_h_base"),
           "phi3": ("phi3", "phi3_base"), "phi3-longrope": ("phi3", "phi3_longrope"),
           "qwen2moe": ("qwen2moe", "qwen2_moe_sparse"), "qwen3moe": ("qwen3moe", "qwen3_moe_base")}
PERMUTED = {"llama", "granitehybrid", "nemotron_h_moe"}


def permute(rows, heads):
    """The halves of each head interleaved."""
    shape = rows.shape
    return rows.reshape(heads, 2, shape[0] // heads // 2, *shape[1:]).swapaxes(1, 2).reshape(shape)


def make_llama3_factors(config, rope):
    """What llama.cpp divides the frequencies of pairs by."""
    width = config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"]
    factor, low, high = rope["factor"], rope["low_freq_factor"], rope["high_freq_factor"]
    factors = []
    for frequency in 1.0 / rope["rope_theta"] ** (numpy.arange(0, width, 2) / width):
        turns = rope["original_max_position_embeddings"] * frequency / (2 * numpy.pi)
        smooth = min(max((turns - low) / (high - low), 0.0), 1.0)
        factors.append(1 / ((1 - smooth) / factor + smooth))
    return numpy.array(factors)


class Converter:
    def __init__(self, arch, config, tensors):
        self.arch, self.config = arch, config
        self.layers = config.get("num_hidden_layers") or len(config["layers_block_type"])
        kind = next(key for key, name in gguf.MODEL_ARCH_NAMES.items() if name == arch)
        self.names = gguf.get_tensor_name_map(kind, self.layers)
        self.tensors = {}
        self.stacks = {}
        for name, tensor in tensors.items():
            self.convert(name, tensor.float().numpy())
        for name, parts in self.stacks.items():
            self.tensors[name] = numpy.stack([parts[e] for e in sorted(parts)])
        rope = config.get("rope_parameters") or {}
        if rope.get("rope_type") == "llama3":
            self.tensors["rope_freqs.weight"] = make_llama3_factors(config, rope)
        elif rope.get("rope_type") == "longrope":
            for length in ("long", "short"):
                self.tensors[f"rope_factors_{length}.weight"] = numpy.array(rope[f"{length}_factor"])

    def find(self, name):
        found = self.names.get_name(name, try_suffixes=(".weight", ".bias"))
        if found is None:
            raise SystemExit(f"{self.arch}: llama.cpp has no name for {name}")
        return found

    def put(self, name, values):
        self.tensors[self.find(name)] = values

    def convert(self, name, values):
        config, base = self.config, name.rsplit(".", 1)[0]
        if ".experts." in name:
            before, after = name.split(".experts.")
            expert, part = after.split(".")[:2]
            part = {"w1": "gate_proj", "w2": "down_proj", "w3": "up_proj"}.get(part, part)
            stack = f"blk.{before.split('.')[2]}.ffn_{part.split('_')[0]}_exps.weight"
            self.stacks.setdefault(stack, {})[int(expert)] = values
        elif "input_linear" in base:
            gate, up = numpy.split(values, 2, axis=-2)
            ending = "_exps" if "block_sparse_moe" in base else "_shexp" if config.get("num_local_experts") else ""
            layer = base.split(".")[2]
            self.tensors[f"blk.{layer}.ffn_gate{ending}.weight"] = gate
            self.tensors[f"blk.{layer}.ffn_up{ending}.weight"] = up
        elif "output_linear" in base:
            ending = "_exps" if "block_sparse_moe" in base else "_shexp" if config.get("num_local_experts") else ""
            self.tensors[f"blk.{base.split('.')[2]}.ffn_down{ending}.weight"] = values
        elif name.endswith("A_log"):
            self.put(name, -numpy.exp(values).reshape(-1, 1))
        elif name.endswith(".D"):
            self.put(name, values.reshape(-1, 1))
        elif name.endswith("dt_bias"):
            self.tensors[f"blk.{base.split('.')[2]}.ssm_dt.bias"] = values
        elif name.endswith("bias") and ("expert_bias" in name or "e_score_correction" in name):
            self.tensors[f"blk.{base.split('.')[2]}.exp_probs_b.bias"] = values
        elif "conv" in name and name.endswith("weight") and values.ndim == 3:
            self.put(name, values.squeeze(1))
        elif name.endswith("mixer.norm.weight"):
            self.put(name, values.reshape(config["n_groups"], -1))
        elif self.arch in PERMUTED and ("q_proj" in name or "k_proj" in name):
            heads = config["num_attention_heads" if "q_proj" in name else "num_key_value_heads"]
            self.put(name, permute(values, heads))
        elif self.arch.startswith("gemma") and name.endswith("norm.weight"):
            self.put(name, values + 1)
        else:
            self.put(name, values)


def is_softmax(config, layer):
    kinds = config.get("layers_block_type") or config.get("layer_types")
    return kinds is None or kinds[layer] in ("attention", "full_attention", "sliding_attention")


def add_keys(writer, arch, config, layers):
    get = config.get
    rope = get("rope_parameters") or {}
    full = rope.get("full_attention", rope)
    heads = config["num_attention_heads"]
    head_dim = get("head_dim") or config["hidden_size"] // heads
    writer.add_block_count(layers)
    writer.add_context_length(get("max_position_embeddings", 512))
    writer.add_embedding_length(config["hidden_size"])
    writer.add_vocab_size(config["vocab_size"])
    writer.add_head_count(heads)
    kv_heads = get("num_key_value_heads", heads)
    softmax = [is_softmax(config, layer) for layer in range(layers)]
    writer.add_head_count_kv(kv_heads if all(softmax) else [kv_heads if one else 0 for one in softmax])
    writer.add_key_length(head_dim)
    writer.add_value_length(head_dim)
    eps = get("rms_norm_eps") or get("norm_eps") or get("layer_norm_epsilon")
    (writer.add_layer_norm_eps if arch.startswith("nemotron") else writer.add_layer_norm_rms_eps)(eps)
    writer.add_rope_freq_base(full.get("rope_theta", get("rope_theta") or 10000.0))
    writer.add_rope_dimension_count(int(head_dim * full.get("partial_rotary_factor", 1.0)))
    width = config.get("intermediate_size", 0)
    if arch.startswith("nemotron"):
        width = [width if kind == "mlp" else 0 for kind in config["layers_block_type"]]
        width = [one or (config["moe_intermediate_size"] if kind == "moe" else 0)
                 for one, kind in zip(width, config["layers_block_type"])]
    elif arch == "lfm2":
        width = config["_ff"]
    writer.add_feed_forward_length(width)
    experts = get("num_experts") or get("num_local_experts") or get("n_routed_experts") or 0
    if experts:
        writer.add_expert_count(experts)
        writer.add_expert_used_count(config["num_experts_per_tok"])
    if get("moe_intermediate_size"):
        writer.add_expert_feed_forward_length(config["moe_intermediate_size"])
    shared = get("shared_expert_intermediate_size") or get("shared_intermediate_size") or get("moe_shared_expert_intermediate_size")
    if shared:
        writer.add_expert_shared_feed_forward_length(shared)
    if get("sliding_window") and arch in ("gemma3", "phi3"):
        writer.add_sliding_window(config["sliding_window"])
    if full.get("rope_type") == "longrope":
        original = config["original_max_position_embeddings"]
        stretch = config["max_position_embeddings"] / original
        writer.add_rope_scaling_orig_ctx_len(original)
        writer.add_rope_scaling_attn_factors(numpy.sqrt(1 + numpy.log(stretch) / numpy.log(original)))
    if arch == "gemma3":
        add_gemma3_keys(writer, config, rope)
    if arch.startswith("lfm2"):
        writer.add_shortconv_l_cache(config["conv_L_cache"])
        if arch == "lfm2moe":
            writer.add_leading_dense_block_count(config["num_dense_layers"])
    if arch in ("granitehybrid", "nemotron_h_moe"):
        add_state_space_keys(writer, arch, config)


def add_gemma3_keys(writer, config, rope):
    full = rope["full_attention"]
    if full.get("rope_type", "default") != "default":
        writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(full["factor"])
    writer.add_sliding_window_pattern([kind == "sliding_attention" for kind in config["layer_types"]])


def add_state_space_keys(writer, arch, config):
    is_granite = arch == "granitehybrid"
    heads = config["mamba_n_heads" if is_granite else "mamba_num_heads"]
    width = config["mamba_d_head" if is_granite else "mamba_head_dim"]
    writer.add_ssm_time_step_rank(heads)
    writer.add_ssm_inner_size(heads * width)
    writer.add_ssm_group_count(config["mamba_n_groups" if is_granite else "n_groups"])
    writer.add_ssm_state_size(config["mamba_d_state" if is_granite else "ssm_state_size"])
    writer.add_ssm_conv_kernel(config["mamba_d_conv" if is_granite else "conv_kernel"])
    writer.add_rope_scaling_finetuned(False)
    if is_granite:
        writer.add_embedding_scale(config["embedding_multiplier"])
        writer.add_residual_scale(config["residual_multiplier"])
        writer.add_attention_scale(config["attention_multiplier"])
        writer.add_logit_scale(config["logits_scaling"])
    else:
        writer.add_expert_group_count(config["n_group"])
        writer.add_expert_group_used_count(config["topk_group"])
        writer.add_expert_weights_norm(config["norm_topk_prob"])
        writer.add_expert_weights_scale(config["routed_scaling_factor"])


def read_config(source):
    """In the spelling of transformers 5, whatever the file's."""
    config = json.loads((source / "config.json").read_text())
    if "sliding_window_pattern" in config:
        scaling = {"rope_theta": config["rope_theta"]} | config["rope_scaling"]
        config["rope_parameters"] = {"full_attention": scaling}
        config["layer_types"] = ["sliding_attention" if (layer + 1) % config["sliding_window_pattern"] else "full_attention"
                                 for layer in range(config["num_hidden_layers"])]
    return config


def write(folder, arch, source):
    config = read_config(source)
    tensors = {name: tensor for name, tensor in load_file(source / "model.safetensors").items()
               if not (config.get("tie_word_embeddings") and name == "lm_head.weight")}
    converter = Converter(arch, config, tensors)
    if arch == "lfm2":
        config["_ff"] = converter.tensors["blk.0.ffn_gate.weight"].shape[0]
    folder.mkdir(parents=True, exist_ok=True)
    writer = gguf.GGUFWriter(folder / "model.gguf", arch)
    writer.add_type("model")
    add_keys(writer, arch, config, converter.layers)
    for name, values in sorted(converter.tensors.items()):
        is_small = values.ndim == 1 or "ssm_" in name and "ssm_in" not in name and "ssm_out" not in name or \
            "shortconv.conv" in name or "ffn_gate_inp" in name
        kind = gguf.GGMLQuantizationType.F32 if is_small else gguf.GGMLQuantizationType.BF16
        values = numpy.ascontiguousarray(values, dtype=numpy.float32)
        writer.add_tensor(name, gguf.quants.quantize(values, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    expected = load_file(source / "expected.safetensors")
    # A Llama file does not tell its window, which fewer tokens do not reach.
    count = 20 if arch == "llama" else 40
    save_file({key: expected[key][:, :count].contiguous() for key in ("input_ids", "logits")}, folder / "expected.safetensors")
    print(arch, source.name, (folder / "model.gguf").stat().st_size)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=pathlib.Path, action="append", required=True)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("names", nargs="*")
    asked = parser.parse_args()
    for name in asked.names or SOURCES:
        arch, model = SOURCES[name]
        source = next(models / model for models in asked.models if (models / model).exists())
        write(asked.out / name, arch, source)


if __name__ == "__main__":
    main()
