#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes those models of testdata/models that come from here: tiny random checkpoints of BLOOM, DeepSeek, Falcon,
Gemma, Gemma 2, GPT-BigCode, GPT-NeoX, Llama, Mistral, Mixtral, Phi, Phi-3, Qwen's mixtures and RecurrentGemma, and
what transformers computes from them, in float32 from weights that are stored in bfloat16 (router corrections in float32).

  tests/oracles/family_goldens.py --out testdata/models [NAME ...]

Needs torch, safetensors and transformers 5.23 or 5.24. Eager attention and experts on the CPU. The first
seed is taken for which greedy margins, expert margins and the float32 error are as testdata/models says.
"""
import platform

import torch
import transformers
from safetensors.torch import load_file, save_file
from transformers import (BloomConfig, BloomForCausalLM, DeepseekV2Config, DeepseekV2ForCausalLM, DeepseekV3Config, DeepseekV3ForCausalLM, FalconConfig,
                          FalconForCausalLM, Gemma2Config, Gemma2ForCausalLM, GemmaConfig, GemmaForCausalLM, GPTBigCodeConfig,
                          GPTBigCodeForCausalLM, GPTNeoXConfig, GPTNeoXForCausalLM, LlamaConfig, LlamaForCausalLM, MistralConfig,
                          MistralForCausalLM, MixtralConfig, MixtralForCausalLM, Phi3Config, Phi3ForCausalLM, PhiConfig, PhiForCausalLM,
                          Qwen2MoeConfig, Qwen2MoeForCausalLM, Qwen3MoeConfig, Qwen3MoeForCausalLM, RecurrentGemmaConfig,
                          RecurrentGemmaForCausalLM)

from golden_files import make_asked, relative_rms, write_expected

YARN = {"rope_type": "yarn", "rope_theta": 10000.0, "factor": 8.0, "original_max_position_embeddings": 64,
        "beta_fast": 32.0, "beta_slow": 1.0, "mscale": 1.0, "mscale_all_dim": 0.8}
SHARED = dict(vocab_size=43, hidden_size=16, intermediate_size=24, moe_intermediate_size=12, num_hidden_layers=2,
              num_attention_heads=4, num_key_value_heads=4, kv_lora_rank=12, qk_rope_head_dim=8,
              qk_nope_head_dim=8, v_head_dim=10, n_routed_experts=8, num_experts_per_tok=2, rms_norm_eps=1e-5,
              first_k_dense_replace=1, max_position_embeddings=512, rope_parameters=YARN)
SMALL = dict(vocab_size=53, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, max_position_embeddings=512)

ODD = SMALL | {"hidden_size": 36, "num_attention_heads": 6}


def rope(theta, share=None):
    settings = {"rope_type": "default", "rope_theta": theta}
    return settings | ({"partial_rotary_factor": share} if share else {})


VARIANTS = {
    "deepseek_v3_base": (DeepseekV3ForCausalLM, DeepseekV3Config(
        **SHARED, q_lora_rank=14, n_shared_experts=1, n_group=4, topk_group=2, routed_scaling_factor=2.5,
        norm_topk_prob=True, attention_bias=True)),
    "deepseek_v2_base": (DeepseekV2ForCausalLM, DeepseekV2Config(
        **SHARED, q_lora_rank=None, n_shared_experts=2, n_group=4, topk_group=2, routed_scaling_factor=1.7,
        topk_method="group_limited_greedy", norm_topk_prob=False)),
    "phi3_base": (Phi3ForCausalLM, Phi3Config(
        **SMALL, num_key_value_heads=2, intermediate_size=40, rms_norm_eps=1e-5, pad_token_id=None, sliding_window=None,
        rope_parameters=rope(1e4, 0.75))),
    # All texts are longer than the original context: the long factors act.
    "phi3_longrope": (Phi3ForCausalLM, Phi3Config(
        **SMALL, num_key_value_heads=4, intermediate_size=40, rms_norm_eps=1e-5, pad_token_id=None, sliding_window=None,
        original_max_position_embeddings=4,
        rope_parameters={"rope_type": "longrope", "rope_theta": 1e4, "short_factor": [1.0, 1.1, 1.2, 1.3],
                         "long_factor": [1.05, 1.9, 3.7, 8.0], "original_max_position_embeddings": 4})),
    "llama_scaled": (LlamaForCausalLM, LlamaConfig(
        **SMALL, num_key_value_heads=2, intermediate_size=40, rms_norm_eps=1e-5,
        rope_parameters={"rope_type": "llama3", "rope_theta": 1e4, "factor": 8.0, "low_freq_factor": 1.0,
                         "high_freq_factor": 4.0, "original_max_position_embeddings": 64})),
    "mistral_base": (MistralForCausalLM, MistralConfig(
        **SMALL, num_key_value_heads=2, head_dim=10, intermediate_size=40, sliding_window=24, rope_parameters=rope(1e6))),
    "gpt_neox_base": (GPTNeoXForCausalLM, GPTNeoXConfig(
        **SMALL, intermediate_size=64, layer_norm_eps=1e-4, use_parallel_residual=True, hidden_act="gelu",
        rope_parameters=rope(1e4, 0.5))),
    "gpt_neox_serial": (GPTNeoXForCausalLM, GPTNeoXConfig(
        **SMALL, intermediate_size=64, layer_norm_eps=1e-4, use_parallel_residual=False, attention_bias=False,
        hidden_act="gelu_new", rope_parameters=rope(1e4, 0.25))),
    "mixtral_base": (MixtralForCausalLM, MixtralConfig(
        **SMALL, num_key_value_heads=2, intermediate_size=24, num_local_experts=4, num_experts_per_tok=2, sliding_window=20,
        rope_parameters=rope(1e6))),
    "qwen2_moe_base": (Qwen2MoeForCausalLM, Qwen2MoeConfig(
        **(SMALL | {"num_hidden_layers": 3}), num_key_value_heads=2, intermediate_size=40, moe_intermediate_size=16,
        shared_expert_intermediate_size=20, num_experts=4, num_experts_per_tok=2, decoder_sparse_step=1, mlp_only_layers=[1],
        norm_topk_prob=False, use_sliding_window=False, rope_parameters=rope(1e4))),
    "qwen2_moe_sparse": (Qwen2MoeForCausalLM, Qwen2MoeConfig(
        **SMALL, num_key_value_heads=2, moe_intermediate_size=16, shared_expert_intermediate_size=20, num_experts=4,
        num_experts_per_tok=2, norm_topk_prob=False, use_sliding_window=False, rope_parameters=rope(1e4))),
    "qwen3_moe_base": (Qwen3MoeForCausalLM, Qwen3MoeConfig(
        **SMALL, num_key_value_heads=2, head_dim=10, intermediate_size=40, moe_intermediate_size=16, num_experts=6,
        num_experts_per_tok=3, norm_topk_prob=True, rope_parameters=rope(1e6))),
    "gemma_base": (GemmaForCausalLM, GemmaConfig(
        **SMALL, num_key_value_heads=1, head_dim=12, intermediate_size=40, rms_norm_eps=1e-5, rope_parameters=rope(1e4))),
    # Both caps are low enough to act, and the scale is not that of the heads.
    "gemma2_odd": (Gemma2ForCausalLM, Gemma2Config(
        **(ODD | {"num_hidden_layers": 3}), num_key_value_heads=3, head_dim=10, intermediate_size=40, rms_norm_eps=1e-3, query_pre_attn_scalar=7, sliding_window=20, attn_logit_softcapping=3.0,
        final_logit_softcapping=5.0, pad_token_id=None, rope_parameters=rope(1e4))),
    # Recurrent layers of another width than the stream's, whose root bfloat16 rounds; widths that fill vectors.
    "recurrent_gemma_odd": (RecurrentGemmaForCausalLM, RecurrentGemmaConfig(
        **(SMALL | {"num_hidden_layers": 3, "hidden_size": 96, "num_attention_heads": 2}), num_key_value_heads=1, lru_width=64,
        conv1d_width=3, intermediate_size=128, attention_window_size=20, rms_norm_eps=1e-4, logits_soft_cap=5.0,
        block_types=["recurrent", "attention", "recurrent"], rope_parameters=rope(1e4, 0.5))),
    "phi_odd": (PhiForCausalLM, PhiConfig(
        **(ODD | {"num_attention_heads": 3}), intermediate_size=40, layer_norm_eps=1e-4,
        rope_parameters=rope(1e4, 0.5))),
    "falcon_base": (FalconForCausalLM, FalconConfig(
        **ODD, num_kv_heads=3, new_decoder_architecture=True, bias=False, ffn_hidden_size=40, layer_norm_epsilon=1e-4,
        rope_parameters=rope(1e4))),
    # With one norm for both branches, biases and ALiBi.
    "falcon_alibi": (FalconForCausalLM, FalconConfig(
        **ODD, num_kv_heads=3, new_decoder_architecture=True, num_ln_in_parallel_attn=1, bias=True, alibi=True)),
    # Heads that are no power of two have slopes of two kinds.
    "bloom_odd": (BloomForCausalLM, BloomConfig(
        vocab_size=53, hidden_size=36, n_layer=2, n_head=6, layer_norm_epsilon=1e-4)),
    "gpt_bigcode_base": (GPTBigCodeForCausalLM, GPTBigCodeConfig(
        vocab_size=53, n_embd=36, n_layer=2, n_head=6, n_positions=256, n_inner=40, layer_norm_epsilon=1e-4,
        resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0)),
}
WITH_GRADIENTS = ("recurrent_gemma_odd",)
OFFSET_GAINS = (GemmaForCausalLM, Gemma2ForCausalLM, RecurrentGemmaForCausalLM)


def find_body(model):
    return model.base_model


def find_layers(model):
    body = find_body(model)
    return body.layers if hasattr(body, "layers") else body.h


def find_final_norm(model):
    body = find_body(model)
    names = ("norm", "final_layer_norm", "final_layernorm", "final_norm", "ln_f")
    return next(getattr(body, name) for name in names if hasattr(body, name))


def fill(model, generator):
    # Gemma stores its gains less one, and multiplies its embedding, which is its head too.
    is_gemma = isinstance(model, OFFSET_GAINS)
    for name, tensor in list(model.named_parameters()) + list(model.named_buffers()):
        if "inv_freq" in name or "embed_scale" in name or "normalizer" in name or tensor.dtype == torch.bool:
            continue
        noise = torch.randn(tensor.shape, generator=generator)
        is_router = name.endswith("e_score_correction_bias")
        if is_router:
            tensor.data.copy_(torch.rand(tensor.shape, generator=generator) * 0.4 - 0.2)
        elif "norm" in name or ".ln_" in name:
            tensor.data.copy_((0 if is_gemma or name.endswith("bias") else 1) + 0.25 * noise)
        elif name.endswith("bias"):
            tensor.data.copy_(0.3 * noise)
        elif name.endswith("recurrent_param"):
            # A half-open gate forgets a half in 2 to 100 tokens.
            tensor.data.copy_(torch.log(torch.expm1(torch.exp(-2.5 + 1.2 * noise))))
        else:
            deviation = 0.1 + 0.1 * torch.rand((), generator=generator).item()
            if is_gemma:
                deviation = 0.12 if "embed" in name else deviation * (2.5 if name.split(".")[-2] in ("o_proj", "v_proj", "down_proj", "linear_out") else 1)
            elif "embed" in name or ".wte." in name or ".wpe." in name:
                deviation = 0.35 if model.config.tie_word_embeddings else 1.0
            elif model.config.tie_word_embeddings and name.split(".")[-2] in ("dense", "dense_4h_to_h", "c_proj"):
                deviation *= 2.5
            tensor.data.copy_(deviation * noise)
        if not is_router:
            tensor.data.copy_(tensor.data.bfloat16())


class Wide:
    """Upcasts to float32 inside the model become upcasts to float64."""

    def __enter__(self):
        self.saved = torch.Tensor.to, torch.Tensor.type, torch.Tensor.float, torch.nn.functional.softmax
        to, kind, _, softmax = self.saved
        wide = lambda value: torch.float64 if value is torch.float32 else value
        torch.Tensor.to = lambda t, *a, **k: to(t, *map(wide, a), **{n: wide(v) for n, v in k.items()})
        torch.Tensor.type = lambda t, *a: kind(t, *map(wide, a))
        torch.Tensor.float = torch.Tensor.double
        torch.nn.functional.softmax = lambda x, dim=None, dtype=None, **k: softmax(x, dim=dim, dtype=wide(dtype))

    def __exit__(self, *_):
        torch.Tensor.to, torch.Tensor.type, torch.Tensor.float, torch.nn.functional.softmax = self.saved


@torch.no_grad()
def run(model, ids):
    """Logits, the stream before and after each layer, the final norm."""
    streams, final = [], []
    hooks = [layer.register_forward_pre_hook(lambda _, args: streams.append(args[0].clone()))
             for layer in find_layers(model)]
    norm = find_final_norm(model)
    hooks.append(norm.register_forward_pre_hook(lambda _, args: streams.append(args[0].clone())))
    hooks.append(norm.register_forward_hook(lambda _, __, out: final.append(out.clone())))
    logits = model(ids, use_cache=False).logits
    for hook in hooks:
        hook.remove()
    return logits, streams, final[0]


@torch.no_grad()
def continue_greedily(model, ids, steps=16):
    chosen, margin = [], float("inf")
    for _ in range(steps):
        best = model(ids, use_cache=False).logits[:, -1].topk(2, dim=-1)
        margin = min(margin, (best.values[:, 0] - best.values[:, 1]).min().item())
        chosen.append(best.indices[:, :1])
        ids = torch.cat([ids, chosen[-1]], 1)
    return torch.cat(chosen, 1), margin


def expert_margin(model, ids):
    """The smallest gap between the last chosen and the first rejected expert or group of a router."""
    smallest = [float("inf")]

    def look(gate, args):
        logits = args[0].reshape(-1, args[0].shape[-1]) @ gate.weight.T
        v3 = hasattr(gate, "e_score_correction_bias")
        scores = logits.sigmoid() + gate.e_score_correction_bias if v3 else logits.softmax(-1)
        grouped = scores.view(len(scores), getattr(gate, "num_group", 1), -1)
        kept_groups = getattr(gate, "topk_group", 1)
        groups = grouped.topk(2, -1).values.sum(-1) if v3 else grouped.amax(-1)
        order = groups.sort(-1, descending=True)
        kept = torch.zeros_like(groups).scatter(1, order.indices[:, :kept_groups], 1).bool()
        best = grouped.masked_fill(~kept.unsqueeze(-1), -1).flatten(1).sort(-1, descending=True).values
        for sorted_scores, count in ((order.values, kept_groups), (best, gate.top_k)):
            if count < sorted_scores.shape[1]:
                smallest[0] = min(smallest[0], (sorted_scores[:, count - 1] - sorted_scores[:, count]).min().item())

    gates = [module for module in model.modules() if hasattr(module, "top_k") and hasattr(module, "weight")]
    hooks = [gate.register_forward_pre_hook(look) for gate in gates]
    run(model, ids)
    for hook in hooks:
        hook.remove()
    return smallest[0]


def write_gradients(folder, wide, ids):
    """Of the mean cross-entropy of every next token, in float64, rounded to float32."""
    with Wide():
        logits = wide(ids, use_cache=False).logits[:, :-1]
    loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten())
    loss.backward()
    gradients = {f"grad.{key}": value.grad.float() for key, value in wide.named_parameters()}
    save_file({"input_ids": ids, "loss": loss.detach().view(1)} | gradients, folder / "grads.safetensors")


def make(name, out):
    kind, config = VARIANTS[name]
    # With eager attention transformers 5.24 adds Falcon's slopes twice: to the mask too.
    config._attn_implementation = "sdpa" if getattr(config, "alibi", False) else "eager"
    config._experts_implementation = "eager"
    for seed in range(1, 2000):
        generator = torch.Generator().manual_seed(seed)
        model = kind(config).eval().float()
        fill(model, generator)
        ids = torch.randint(0, config.vocab_size, (1, 150), generator=generator)
        short = torch.randint(0, config.vocab_size, (2, 7), generator=generator)
        greedy, margin = continue_greedily(model, ids)
        if margin < 0.02 or len(greedy.unique()) < 4 or \
                min(expert_margin(model, ids), expert_margin(model, short)) < 3e-4:
            continue
        tensors = {"input_ids": ids, "short.input_ids": short, "greedy": greedy}
        for prefix, tokens in (("", ids), ("short.", short)):
            logits, streams, final = run(model, tokens)
            tensors[prefix + "logits"] = logits
        tensors["short.final_norm"] = final
        tensors |= {f"short.hidden_states.{i}": stream for i, stream in enumerate(streams)}
        wide = kind(config).eval().double()
        wide.load_state_dict(model.state_dict())
        with Wide():
            exact = run(wide, ids)[0]
        error = relative_rms(tensors["logits"], exact)
        narrow = kind(config).eval().bfloat16()
        narrow.load_state_dict(model.state_dict())
        for own, source in zip(narrow.buffers(), model.buffers()):
            own.data = source.data.clone()
        meta = {"variant": name, "class": kind.__name__, "seed": seed,
                "versions": {"torch": torch.__version__, "transformers": transformers.__version__,
                             "python": platform.python_version()},
                "attention": f"{config._attn_implementation}, CPU", "weights_dtype": "bfloat16",
                "float32_against_float64_relative_rms": {"logits": error},
                "bfloat16_against_float64_relative_rms": {"logits": relative_rms(run(narrow, ids)[0], exact)},
                "greedy_smallest_margin": margin}
        if error > 2e-6:
            continue
        folder = out / name
        model.save_pretrained(folder)
        stored = {key: value if key.endswith("e_score_correction_bias") else value.bfloat16()
                  for key, value in load_file(folder / "model.safetensors").items()}
        save_file(stored, folder / "model.safetensors", metadata={"format": "pt"})
        (folder / "generation_config.json").unlink(missing_ok=True)
        write_expected(folder, tensors, meta)
        if name in WITH_GRADIENTS:
            # The library keeps the padding token, 0 by default, from learning.
            write_gradients(folder, wide, torch.randint(1, config.vocab_size, (2, 70), generator=generator))
        return
    raise SystemExit(f"{name}: no seed fits")


if __name__ == "__main__":
    torch.manual_seed(0)
    make_asked(__doc__, VARIANTS, make)
