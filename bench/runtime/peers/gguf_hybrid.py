"""The hybrids of make_model.py as GGUF: granite, nemotron, falcon and lfm2.

  python gguf_hybrid.py DIR        config.json + model.safetensors become DIR/bf16.gguf

Metadata, names and values are those that llama.cpp's convert_hf_to_gguf.py writes, but for the vocabulary, which is a placeholder, and
for the order of rows in W_Q and W_K, which that program changes even where no rotation follows (granite, nemotron) and the scores are the
same in any order. make_model.py calls this file.
"""
import argparse, json, os


def placeholder_vocabulary(w, size):
    w.add_tokenizer_model("llama")
    w.add_token_list(["<unk>", "<s>", "</s>"] + ["<0x%02X>" % i for i in range(256)] + ["t%d" % i for i in range(size - 259)])
    w.add_token_scores([0.0] * size); w.add_token_types([2, 3, 3] + [6] * 256 + [1] * (size - 259))
    w.add_bos_token_id(1); w.add_eos_token_id(2); w.add_unk_token_id(0)


def metadata(w, c, kinds):
    """Keys of one architecture; kinds holds what each layer is."""
    attention = [k in ("attention", "full_attention") for k in kinds]
    kv = [c["num_key_value_heads"] if yes else 0 for yes in attention]
    w.add_block_count(len(kinds)); w.add_context_length(c["max_position_embeddings"]); w.add_embedding_length(c["hidden_size"])
    w.add_vocab_size(c["vocab_size"]); w.add_head_count(c["num_attention_heads"])
    w.add_layer_norm_rms_eps(c.get("rms_norm_eps") or c.get("layer_norm_epsilon") or c["norm_eps"])
    if c["model_type"] == "granitemoehybrid":
        assert c["position_embedding_type"] == "nope" and not c["num_local_experts"]
        w.add_head_count_kv(kv); w.add_feed_forward_length(c["shared_intermediate_size"])
        w.add_expert_shared_feed_forward_length(c["shared_intermediate_size"])
        w.add_rope_dimension_count(c["hidden_size"] // c["num_attention_heads"]); w.add_rope_scaling_finetuned(False)
        w.add_attention_scale(c["attention_multiplier"]); w.add_embedding_scale(c["embedding_multiplier"])
        w.add_residual_scale(c["residual_multiplier"]); w.add_logit_scale(c["logits_scaling"])
    elif c["model_type"] == "nemotron_h":
        assert "moe" not in kinds
        w.add_head_count_kv(kv); w.add_feed_forward_length([c["intermediate_size"] if k == "mlp" else 0 for k in kinds])
        w.add_rope_dimension_count(c["head_dim"]); w.add_rope_scaling_finetuned(False); w.add_layer_norm_eps(c["layer_norm_epsilon"])
        w.add_key_length(c["head_dim"]); w.add_value_length(c["head_dim"])
    elif c["model_type"] == "falcon_h1":
        multipliers = [v for k, v in c.items() if k.endswith("_multiplier")] + c["mlp_multipliers"] + c["ssm_multipliers"]
        assert all(m == 1 for m in multipliers), "the converter folds multipliers into the weights, this one does not"
        w.add_head_count_kv(c["num_key_value_heads"]); w.add_feed_forward_length(c["intermediate_size"])
        w.add_key_length(c["head_dim"]); w.add_value_length(c["head_dim"]); w.add_rope_freq_base(c["rope_parameters"]["rope_theta"])
    else:
        assert not c["block_auto_adjust_ff_dim"]
        w.add_head_count_kv(kv); w.add_feed_forward_length(c["intermediate_size"]); w.add_shortconv_l_cache(c["conv_L_cache"])
        w.add_rope_freq_base(c["rope_parameters"]["rope_theta"])
        return
    mamba = lambda *names: next(c[n] for n in names if n in c)
    heads = mamba("mamba_n_heads", "mamba_num_heads")
    w.add_ssm_conv_kernel(mamba("mamba_d_conv", "conv_kernel")); w.add_ssm_state_size(mamba("mamba_d_state", "ssm_state_size"))
    w.add_ssm_group_count(mamba("mamba_n_groups", "n_groups")); w.add_ssm_time_step_rank(heads)
    w.add_ssm_inner_size(heads * mamba("mamba_d_head", "mamba_head_dim"))


def tensors(c, state, names):
    """Pairs of a GGUF name and its values, in f32."""
    for name, a in state.items():
        a = a.float()
        if name.endswith("shared_mlp.input_linear.weight"):
            block = "blk." + name.split(".")[2]
            for part, half in zip(("gate", "up"), a.chunk(2)):
                yield "%s.ffn_%s.weight" % (block, part), half
            continue
        out = names.get_name(name.replace(".dt_bias", ".dt_proj.bias"), try_suffixes=(".weight", ".bias")).replace("_shexp", "")
        if name.endswith("conv1d.weight") or name.endswith("conv.conv.weight"):
            a = a.squeeze(1)
        elif name.endswith((".A_log", ".D")):
            a = (-a.exp() if name.endswith("A_log") else a)[:, None]
        elif out.endswith("ssm_norm.weight"):
            a = a.view(c.get("mamba_n_groups") or c["n_groups"], -1)
        yield out, a


def write(folder):
    import gguf
    from safetensors.torch import load_file
    c = json.load(open(os.path.join(folder, "config.json")))
    arch = {"granitemoehybrid": "GRANITE_HYBRID", "nemotron_h": "NEMOTRON_H", "falcon_h1": "FALCON_H1", "lfm2": "LFM2"}[c["model_type"]]
    arch = gguf.MODEL_ARCH[arch]
    kinds = c.get("layer_types") or c.get("layers_block_type") or ["both"] * c["num_hidden_layers"]
    w = gguf.GGUFWriter(os.path.join(folder, "bf16.gguf"), gguf.MODEL_ARCH_NAMES[arch])
    metadata(w, c, kinds)
    placeholder_vocabulary(w, c["vocab_size"])
    w.add_file_type(gguf.LlamaFileType.MOSTLY_BF16)
    types = gguf.GGMLQuantizationType
    for name, a in tensors(c, load_file(os.path.join(folder, "model.safetensors")), gguf.get_tensor_name_map(arch, len(kinds))):
        matrix = a.ndim == 2 and name.endswith(".weight") and not name.endswith(("_norm.weight", "conv1d.weight", "shortconv.conv.weight"))
        kind = types.BF16 if matrix else types.F32
        w.add_tensor(name, gguf.quants.quantize(a.contiguous().numpy(), kind), raw_dtype=kind)
    w.write_header_to_file(); w.write_kv_data_to_file(); w.write_tensors_to_file(); w.close()


if __name__ == "__main__":
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("dir")
    write(ap.parse_args().dir)
