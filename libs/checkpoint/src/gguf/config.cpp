// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/gguf.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/formats/gguf.hpp"

#include "gguf/sizes.hpp"
#include "tensor_names.hpp"

namespace anamnesis::checkpoint {
namespace {

/// Keys that mean the same in both.
struct SameKey {
    std::string_view gguf;
    std::string_view config;
};
constexpr std::array count_keys{
    SameKey{"embedding_length", "hidden_size"},
    SameKey{"context_length", "max_position_embeddings"},
    SameKey{"vocab_size", "vocab_size"},
    SameKey{"expert_used_count", "num_experts_per_tok"},
    SameKey{"expert_feed_forward_length", "moe_intermediate_size"},
    SameKey{"expert_shared_feed_forward_length", "shared_expert_intermediate_size"},
    SameKey{"attention.kv_lora_rank", "kv_lora_rank"},
    SameKey{"attention.q_lora_rank", "q_lora_rank"},
    SameKey{"nextn_predict_layers", "num_nextn_predict_layers"},
    SameKey{"full_attention_interval", "full_attention_interval"},
    SameKey{"ssm.conv_kernel", "linear_conv_kernel_dim"},
    SameKey{"ssm.state_size", "linear_key_head_dim"},
    SameKey{"ssm.group_count", "linear_num_key_heads"},
    SameKey{"ssm.time_step_rank", "linear_num_value_heads"},
};

constexpr std::string_view width_key = "feed_forward_length";

/// For each block whether its width is not that of experts, which files of Nemotron-H list too.
std::vector<bool> list_dense_blocks(const GgufKeys& keys) {
    const auto widths = keys.find_counts(width_key).value_or(std::vector<std::uint64_t>{});
    const auto experts = keys.find_count("expert_feed_forward_length");
    std::vector<bool> dense;
    for (const std::uint64_t width : widths) {
        dense.push_back(width != experts);
    }
    return dense;
}

std::string_view to_layer_type(LayerKind kind) {
    switch (kind) {
        case LayerKind::sliding:
            return "sliding_attention";
        case LayerKind::linear:
            return "linear_attention";
        case LayerKind::conv:
            return "conv";
        case LayerKind::mlp:
            return "mlp";
        default:
            return "full_attention";
    }
}

void add_layer_types(Json& config, const GgufKeys& keys, const GgufArchitecture& architecture) {
    Json types = Json::array();
    for (const Layer& layer : read_gguf_layers(keys, architecture)) {
        types.push_back(to_layer_type(layer.kinds.front()));
    }
    config.set("layer_types", std::move(types));
}

/// Source: llama.cpp, which takes a factor without a type as linear and an older key for it.
void add_scaling(Json& config, const GgufKeys& keys) {
    const std::string type = keys.find_string("rope.scaling.type").value_or("linear");
    auto factor = keys.find_number("rope.scaling.factor");
    factor = factor ? factor : keys.find_number("rope.scale_linear");
    const bool is_unscaled = !factor || *factor == 0.0 || *factor == 1.0;
    if (type == "none" || (type == "linear" && is_unscaled)) {
        return;
    }
    Json scaling = Json::Object{{"rope_type", type}};
    if (factor) {
        scaling.set("factor", *factor);
    }
    for (const auto& [from, to] :
         {SameKey{"rope.scaling.original_context_length", "original_max_position_embeddings"},
          SameKey{"rope.scaling.attn_factor", "attention_factor"},
          SameKey{"rope.scaling.yarn_beta_fast", "beta_fast"},
          SameKey{"rope.scaling.yarn_beta_slow", "beta_slow"}}) {
        if (const auto number = keys.find_number(from)) {
            scaling.set(to, *number);
        }
    }
    config.set("rope_scaling", std::move(scaling));
}

void add_heads(Json& config, const GgufKeys& keys, const GgufArchitecture& architecture) {
    const HeadLayout heads = read_gguf_heads(keys, architecture);
    config.set("num_attention_heads", heads.query_heads);
    config.set("num_key_value_heads", heads.kv_heads);
    config.set("head_dim", heads.head_dim);
    const auto rotated = keys.find_count("rope.dimension_count");
    if (architecture.has_latent_keys && rotated) {
        config.set("qk_rope_head_dim", *rotated);
        config.set("qk_nope_head_dim", heads.head_dim - std::min(*rotated, heads.head_dim));
        const auto values = keys.find_count("attention.value_length_mla");
        config.set("v_head_dim", values ? *values : keys.count("attention.value_length"));
    } else if (rotated && *rotated < heads.head_dim) {
        config.set("partial_rotary_factor",
                   static_cast<double>(*rotated) / static_cast<double>(heads.head_dim));
    }
}

}  // namespace

Json make_gguf_config(const formats::GgufFile& file) {
    const GgufKeys keys(file);
    const GgufArchitecture* architecture = find_gguf_architecture(keys.architecture());
    Json config = Json::Object{{"model_type", keys.architecture()}};
    if (architecture == nullptr || file.type() != "model") {
        return config;
    }
    config.set("model_type", architecture->families.front());
    config.set("num_hidden_layers", count_gguf_layers(keys));
    for (const auto& [from, to] : count_keys) {
        if (const auto count = keys.find_count(from)) {
            config.set(to, *count);
        }
    }
    add_heads(config, keys, *architecture);
    add_layer_types(config, keys, *architecture);
    if (const auto width = keys.find_common_count(width_key, list_dense_blocks(keys))) {
        config.set("intermediate_size", *width);
    }
    if (const auto experts = keys.find_count("expert_count")) {
        config.set("num_experts", *experts);
    }
    const auto inner = keys.find_count("ssm.inner_size");
    const auto heads = keys.find_count("ssm.time_step_rank");
    if (inner && heads && *heads != 0) {
        config.set("linear_value_head_dim", *inner / *heads);
    }
    for (const std::string_view key :
         {"attention.layer_norm_epsilon", "attention.layer_norm_rms_epsilon"}) {
        if (const auto eps = keys.find_number(key)) {
            config.set("rms_norm_eps", *eps);
        }
    }
    if (const auto theta = keys.find_number("rope.freq_base")) {
        config.set("rope_theta", *theta);
    }
    if (const auto local = keys.find_number("rope.freq_base_swa")) {
        config.set("rope_local_base_freq", *local);
    }
    if (const auto window = keys.find_count("attention.sliding_window"); window && *window > 0) {
        config.set("sliding_window", *window);
    }
    add_scaling(config, keys);
    return config;
}

std::optional<std::string> find_gguf_name(std::string_view canonical) {
    constexpr std::array outer{
        SameKey{"token_embd.weight", "embed_tokens.weight"},
        SameKey{"token_embd.weight", "embeddings.weight"},
        SameKey{"output.weight", "lm_head.weight"},
        SameKey{"output_norm.weight", "norm.weight"},
        SameKey{"output_norm.weight", "norm_f.weight"},
    };
    constexpr std::array inner{
        SameKey{"attn_output.weight", "self_attn.o_proj.weight"},
        SameKey{"ffn_gate.weight", "mlp.gate_proj.weight"},
        SameKey{"ffn_up.weight", "mlp.up_proj.weight"},
        SameKey{"ffn_down.weight", "mlp.down_proj.weight"},
        SameKey{"attn_norm.weight", "input_layernorm.weight"},
        SameKey{"ffn_norm.weight", "post_attention_layernorm.weight"},
    };
    for (const auto& [gguf, name] : outer) {
        if (canonical == name) {
            return std::string(gguf);
        }
    }
    const auto numbered = find_numbered(canonical);
    if (!numbered) {
        return std::nullopt;
    }
    for (const auto& [gguf, name] : inner) {
        if (numbered->rest == name) {
            return format("blk.{}.{}", numbered->number, gguf);
        }
    }
    return std::nullopt;
}

}  // namespace anamnesis::checkpoint
