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
           "qwen2moe": ("qwen2moe", "qwen2_moe_sparse"), "qwen3moe": ("qwen3moe", "qwen3_moe_base"),
           "qwen35": ("qwen35", "qwen3_5_odd"), "qwen35moe": ("qwen35moe", "qwen3_5_moe"),
           "qwen3next": ("qwen3next", "qwen3_next_base"), "kimi-linear": ("kimi-linear", "kimi_linear_hub_config"),
           "deepseek2-v2": ("deepseek2", "deepseek_v2_base"), "deepseek2-v3": ("deepseek2", "deepseek_v3_base"),
           "gpt-oss": ("gpt-oss", "gpt_oss_mxfp4"), "jamba": ("jamba", "jamba_hub_config")}
# What a file does not tell is another model's, so transformers' logits are not these files': the slope of YaRN.
WITHOUT_LOGITS = {"deepseek2"}
EXACT = {"qwen35", "qwen35moe", "qwen3next", "kimi-linear", "deepseek2", "gpt-oss", "jamba"}
OFFSET_GAINS = {"gemma", "gemma3", "qwen35", "qwen35moe", "qwen3next"}
LATENT = {"kimi-linear", "deepseek2"}
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


def reorder_value_heads(values, axis, config, width):
    """From value heads group after group to the first heads of all groups, then the second."""
    keys, heads = config["linear_num_key_heads"], config["linear_num_value_heads"]
    shape = values.shape
    split = values.reshape(*shape[:axis], keys, heads // keys, width, *shape[axis + 1:])
    return split.swapaxes(axis, axis + 1).reshape(shape)


def repack_mxfp4(blocks, scales):
    """Bytes of OCP MXFP4 [..., 16], neighbours in one byte, as blocks of ggml: halves in one byte, the scale first."""
    low, high = blocks & 15, blocks >> 4
    values = numpy.stack([low, high], axis=-1).reshape(*blocks.shape[:-1], 32)
    packed = values[..., :16] | values[..., 16:] << 4
    whole = numpy.concatenate([scales[..., None], packed], axis=-1)
    return whole.reshape(*whole.shape[:-2], -1).astype(numpy.uint8)


class Converter:
    def __init__(self, arch, config, tensors):
        self.arch, self.config = arch, config
        self.layers = config.get("num_hidden_layers") or len(config["layers_block_type"])
        kind = next(key for key, name in gguf.MODEL_ARCH_NAMES.items() if name == arch)
        self.names = gguf.get_tensor_name_map(kind, self.layers)
        self.tensors = {}
        self.packed = {}  # bytes of MXFP4
        self.stacks = {}
        self.sources = tensors
        for name, tensor in tensors.items():
            if not self.convert_reformed(name, tensor):
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

    def convert_reformed(self, name, tensor):
        """Tensors that the architecture cuts or orders otherwise; returns whether this is one."""
        config = self.config
        block = f"blk.{name.split('.')[2]}." if name.startswith("model.layers.") else ""
        if name.endswith("kv_b_proj.weight"):
            key, value = config["qk_nope_head_dim"], config["v_head_dim"]
            heads = tensor.float().numpy().reshape(config["num_attention_heads"], key + value, -1)
            self.tensors[block + "attn_k_b.weight"] = heads[:, :key].swapaxes(1, 2)
            self.tensors[block + "attn_v_b.weight"] = heads[:, key:]
        elif "in_proj_qkvz" in name:
            keys, key, value = (config[f"linear_{name}"] for name in ("num_key_heads", "key_head_dim", "value_head_dim"))
            values = config["linear_num_value_heads"] // keys * value
            groups = tensor.float().numpy().reshape(keys, 2 * key + 2 * values, -1)
            cut = numpy.split(groups, (key, 2 * key, 2 * key + values), axis=1)
            query, own_key, value, gate = (part.reshape(-1, groups.shape[-1]) for part in cut)
            self.tensors[block + "attn_qkv.weight"] = numpy.concatenate([query, own_key, value])
            self.tensors[block + "attn_gate.weight"] = gate
        elif ".mlp.experts." in name and self.arch == "gpt-oss":
            self.convert_gpt_oss_experts(block, name, tensor)
        elif self.arch.startswith("qwen35") and ".linear_attn." in name:
            self.convert(name, self.reorder(name, tensor.float().numpy()))
        else:
            return False
        return True

    def convert_gpt_oss_experts(self, block, name, tensor):
        part = name.rsplit(".", 1)[1]
        names = ("ffn_gate_exps", "ffn_up_exps") if part.startswith("gate_up") else ("ffn_down_exps",)
        for number, to in enumerate(names):
            if part.endswith("_bias"):
                self.tensors[block + to + ".bias"] = tensor.float().numpy()[:, number::len(names)]
            elif part.endswith("_blocks"):
                scales = self.sources[name.replace("_blocks", "_scales")]
                self.packed[block + to + ".weight"] = repack_mxfp4(
                    tensor.numpy()[:, number::len(names)], scales.numpy()[:, number::len(names)])

    def reorder(self, name, values):
        config, part = self.config, name.split(".linear_attn.")[1].split(".")[0]
        width = config["linear_value_head_dim"]
        keys = 2 * config["linear_num_key_heads"] * config["linear_key_head_dim"]
        if part in ("in_proj_qkv", "conv1d"):
            return numpy.concatenate([values[:keys], reorder_value_heads(values[keys:], 0, config, width)])
        if part == "in_proj_z":
            return reorder_value_heads(values, 0, config, width)
        if part in ("in_proj_a", "in_proj_b", "A_log", "dt_bias"):
            return reorder_value_heads(values, 0, config, 1)
        return reorder_value_heads(values, 1, config, width) if part == "out_proj" else values

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
            flat = "mamba." in name and self.arch == "jamba" or "linear_attn." in name
            self.put(name, -numpy.exp(values if flat else values.reshape(-1, 1)))
        elif name.endswith(".D"):
            self.put(name, values if self.arch == "jamba" else values.reshape(-1, 1))
        elif name.endswith("dt_bias"):
            self.tensors[f"blk.{base.split('.')[2]}.ssm_dt.bias"] = values
        elif name.endswith("self_attn.sinks"):
            self.tensors[f"blk.{base.split('.')[2]}.attn_sinks.weight"] = values
        elif name.endswith("conv1d.weight") and self.arch == "kimi-linear":
            self.put(name, values)
        elif name.endswith("bias") and ("expert_bias" in name or "e_score_correction" in name):
            self.tensors[f"blk.{base.split('.')[2]}.exp_probs_b.bias"] = values
        elif "conv" in name and name.endswith("weight") and values.ndim == 3:
            self.put(name, values.squeeze(1))
        elif name.endswith("mixer.norm.weight"):
            self.put(name, values.reshape(config["n_groups"], -1))
        elif self.arch in PERMUTED and ("q_proj" in name or "k_proj" in name):
            heads = config["num_attention_heads" if "q_proj" in name else "num_key_value_heads"]
            self.put(name, permute(values, heads))
        elif self.arch in OFFSET_GAINS and name.endswith("norm.weight") and "linear_attn" not in name:
            self.put(name, values + 1)
        else:
            self.put(name, values)


def is_softmax(config, layer):
    kinds = config.get("layers_block_type") or config.get("layer_types")
    return kinds is None or kinds[layer] in ("attention", "full_attention", "sliding_attention")


def add_latent_keys(writer, arch, config):
    """MLA is converted as attention with one key-value head, which the layers of kimi-linear are told by."""
    get, rank, turned = config.get, config["kv_lora_rank"], config["qk_rope_head_dim"]
    writer.add_kv_lora_rank(rank)
    if get("q_lora_rank"):
        writer.add_q_lora_rank(config["q_lora_rank"])
    writer.add_key_length(rank + turned)
    writer.add_value_length(rank)
    writer.add_key_length_mla(config["qk_nope_head_dim"] + turned)
    writer.add_value_length_mla(config["v_head_dim"])
    writer.add_rope_dimension_count(turned)
    writer.add_leading_dense_block_count(config["first_k_dense_replace"])
    writer.add_expert_shared_count(get("n_shared_experts") or get("num_shared_experts"))
    writer.add_expert_weights_scale(config["routed_scaling_factor"])
    writer.add_expert_group_count(get("n_group") or get("num_expert_group"))
    writer.add_expert_group_used_count(config["topk_group"])
    if get("norm_topk_prob") or get("moe_renormalize"):
        writer.add_expert_weights_norm(True)
    is_softmax_router = config["model_type"] == "deepseek_v2"
    writer.add_expert_gating_func(gguf.ExpertGatingFuncType.SOFTMAX if is_softmax_router else gguf.ExpertGatingFuncType.SIGMOID)
    if arch == "kimi-linear":
        writer.add_uint32("kimi-linear.kda.head_dim", config["linear_attn_config"]["head_dim"])
        writer.add_ssm_conv_kernel(config["linear_attn_config"]["short_conv_kernel_size"])
    rope = get("rope_parameters") or {}
    if rope.get("mscale_all_dim"):
        writer.add_rope_scaling_yarn_log_mul(0.1 * rope["mscale_all_dim"])


def add_yarn_keys(writer, rope):
    writer.add_rope_scaling_type(gguf.RopeScalingType.YARN)
    writer.add_rope_scaling_factor(rope["factor"])
    writer.add_rope_scaling_orig_ctx_len(rope["original_max_position_embeddings"])
    writer.add_rope_scaling_yarn_beta_fast(rope["beta_fast"])
    writer.add_rope_scaling_yarn_beta_slow(rope["beta_slow"])


def add_delta_keys(writer, config):
    writer.add_ssm_conv_kernel(config["linear_conv_kernel_dim"])
    writer.add_ssm_state_size(config["linear_key_head_dim"])
    writer.add_ssm_group_count(config["linear_num_key_heads"])
    writer.add_ssm_time_step_rank(config["linear_num_value_heads"])
    writer.add_ssm_inner_size(config["linear_value_head_dim"] * config["linear_num_value_heads"])
    writer.add_array(f"{writer.arch}.attention.recurrent_layers", [kind != "full_attention" for kind in config["layer_types"]])


def add_jamba_keys(writer, config):
    writer.add_ssm_conv_kernel(config["mamba_d_conv"])
    writer.add_ssm_inner_size(config["mamba_expand"] * config["hidden_size"])
    writer.add_ssm_state_size(config["mamba_d_state"])
    writer.add_ssm_time_step_rank(config["mamba_dt_rank"])


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
    kv_heads = 1 if arch in LATENT else get("num_key_value_heads", heads)
    softmax = [is_softmax(config, layer) for layer in range(layers)]
    writer.add_head_count_kv(kv_heads if all(softmax) else [kv_heads if one else 0 for one in softmax])
    if arch in LATENT:
        add_latent_keys(writer, arch, config)
    else:
        writer.add_key_length(head_dim)
        writer.add_value_length(head_dim)
        writer.add_rope_dimension_count(int(head_dim * full.get("partial_rotary_factor", 1.0)))
    eps = get("rms_norm_eps") or get("norm_eps") or get("layer_norm_epsilon")
    (writer.add_layer_norm_eps if arch.startswith("nemotron") else writer.add_layer_norm_rms_eps)(eps)
    writer.add_rope_freq_base(full.get("rope_theta", get("rope_theta") or 10000.0))
    if full.get("rope_type") == "yarn":
        add_yarn_keys(writer, full)
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
        writer.add_expert_used_count(get("num_experts_per_tok") or get("num_experts_per_token"))
    if get("moe_intermediate_size"):
        writer.add_expert_feed_forward_length(config["moe_intermediate_size"])
    shared = get("shared_expert_intermediate_size") or get("shared_intermediate_size") or get("moe_shared_expert_intermediate_size")
    if shared:
        writer.add_expert_shared_feed_forward_length(shared)
    if arch == "gpt-oss":
        writer.add_expert_feed_forward_length(config["intermediate_size"])
    if get("sliding_window") and arch in ("gemma3", "phi3", "gpt-oss"):
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
    if "linear_num_value_heads" in config:
        add_delta_keys(writer, config)
    if arch == "jamba":
        add_jamba_keys(writer, config)
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
    layers = range(config.get("num_hidden_layers", 0))
    if "linear_attn_config" in config:
        full = config["linear_attn_config"]["full_attn_layers"]
        config["layer_types"] = ["full_attention" if layer + 1 in full else "linear_attention" for layer in layers]
    elif "attn_layer_period" in config:
        period, offset = config["attn_layer_period"], config["attn_layer_offset"]
        config["layer_types"] = ["full_attention" if layer % period == offset else "linear_attention" for layer in layers]
    elif config["model_type"] == "gpt_oss":
        config["rope_parameters"] = {"rope_theta": config["rope_theta"]} | config["rope_scaling"]
    if "sliding_window_pattern" in config:
        scaling = {"rope_theta": config["rope_theta"]} | config["rope_scaling"]
        config["rope_parameters"] = {"full_attention": scaling}
        config["layer_types"] = ["sliding_attention" if (layer + 1) % config["sliding_window_pattern"] else "full_attention"
                                 for layer in range(config["num_hidden_layers"])]
    return config


def write_model(path, arch, source):
    """Returns what converted it."""
    config = read_config(source)
    tensors = {name: tensor for name, tensor in load_file(source / "model.safetensors").items()
               if not (config.get("tie_word_embeddings") and name == "lm_head.weight")}
    converter = Converter(arch, config, tensors)
    if arch == "lfm2":
        config["_ff"] = converter.tensors["blk.0.ffn_gate.weight"].shape[0]
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = gguf.GGUFWriter(path, arch)
    writer.add_type("model")
    add_keys(writer, arch, config, converter.layers)
    for name, values in sorted(converter.tensors.items()):
        is_small = values.ndim == 1 or "ssm_" in name and "ssm_in" not in name and "ssm_out" not in name or \
            "shortconv.conv" in name or "ffn_gate_inp" in name
        values = numpy.ascontiguousarray(values, dtype=numpy.float32)
        is_exact = (values.view(numpy.uint32) & 0xFFFF == 0).all()
        rounds = arch not in EXACT
        kind = gguf.GGMLQuantizationType.BF16 if not is_small and (is_exact or rounds) else gguf.GGMLQuantizationType.F32
        writer.add_tensor(name, gguf.quants.quantize(values, kind), raw_dtype=kind)
    for name, values in sorted(converter.packed.items()):
        writer.add_tensor(name, values, raw_dtype=gguf.GGMLQuantizationType.MXFP4)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return converter


def write(folder, arch, source):
    write_model(folder / "model.gguf", arch, source)
    print(arch, source.name, (folder / "model.gguf").stat().st_size)
    if arch in WITHOUT_LOGITS:
        return
    expected = load_file(source / "expected.safetensors")
    # A Llama file does not tell its window, which fewer tokens do not reach.
    count = 20 if arch == "llama" else 40
    save_file({key: expected[key][:, :count].contiguous() for key in ("input_ids", "logits")}, folder / "expected.safetensors")


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
