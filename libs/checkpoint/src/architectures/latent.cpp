// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/config_reader.hpp"
#include "anamnesis/checkpoint/model.hpp"

#include "architecture.hpp"
#include "blueprint.hpp"
#include "layer_kinds.hpp"
#include "rotary.hpp"

namespace anamnesis::checkpoint {
namespace {

std::vector<Layer> all_latent(const ConfigReader& config) {
    return layers_all(layer_count(config), LayerKind::mla);
}

/// Kimi's own list counts layers from 1; transformers 5 writes `layer_types` instead; with neither,
/// every fourth layer but the first.
std::vector<Layer> kimi_layers(const ConfigReader& config) {
    if (auto listed = find_listed_layers(config, {"layer_types"})) {
        return with_full_as(*std::move(listed), LayerKind::mla);
    }
    const std::uint32_t count = layer_count(config);
    const Json* linear = config.find("linear_attn_config");
    const Json* full = linear == nullptr ? nullptr : linear->find("full_attn_layers");
    if (full == nullptr || full->is_null()) {
        return layers_by(count, [](std::uint32_t layer) {
            return Kinds{layer > 0 && layer % 4 == 0 ? LayerKind::mla : LayerKind::linear};
        });
    }
    auto layers = layers_all(count, LayerKind::linear);
    for (const Json& element : full->as_array("full_attn_layers")) {
        const std::uint32_t number = count_from(element, "full_attn_layers");
        if (number == 0 || number > count) {
            throw Error(
                ErrorKind::malformed,
                format("full_attn_layers counts layers from 1 to {}, but names {}", count, number));
        }
        layers[number - 1].kinds = {LayerKind::mla};
    }
    return layers;
}

/// The last layer of every group; with `has_tail` also every layer behind the last whole group.
std::vector<Layer> last_of_groups(const ConfigReader& config, LayerKind softmax, bool has_tail) {
    const std::uint32_t count = layer_count(config);
    const std::uint32_t group = config.first_count({"layer_group_size"});
    if (group == 0) {
        throw Error(ErrorKind::malformed, "config key 'layer_group_size' is 0");
    }
    return layers_by(count, [=](std::uint32_t layer) {
        const bool is_softmax =
            (layer + 1) % group == 0 || (has_tail && layer >= count / group * group);
        return Kinds{is_softmax ? softmax : LayerKind::linear};
    });
}

std::vector<Layer> bailing_hybrid_layers(const ConfigReader& config) {
    if (auto listed = find_listed_layers(config, {"layer_types"})) {
        return with_full_as(*std::move(listed), LayerKind::mla);
    }
    return last_of_groups(config, LayerKind::mla, false);
}

std::vector<Layer> bailing_v2_5_layers(const ConfigReader& config) {
    return last_of_groups(config, LayerKind::mla, true);
}

std::vector<Layer> bailing_linear_layers(const ConfigReader& config) {
    return last_of_groups(config, LayerKind::full, false);
}

void describe_kimi(Blueprint& blueprint, const ConfigReader& config) {
    add(blueprint, latent_attention_from(config, "self_attn"));
    add_no_rotary(blueprint);
    blueprint.mixers_share_names = true;
    blueprint.softmax_only = {in_layer("self_attn.kv_b_proj.weight"),
                              in_layer("self_attn.kv_a_proj_with_mqa.weight")};
    blueprint.mixer_only = {in_layer("self_attn.k_proj.weight"),
                            in_layer("self_attn.A_log"),
                            in_layer("self_attn.q_conv1d.weight")};
}

void describe_deepseek(Blueprint& blueprint, const ConfigReader& config) {
    LatentAttention attention = latent_attention_from(config, "self_attn");
    if (!attention.query_rank && !config.is_null("q_lora_rank")) {
        attention.query_rank = 1536;
    }
    add(blueprint, attention);
    add_latent_rotary(blueprint,
                      config,
                      attention.rope_dim,
                      config.flag("rope_interleave", true) ? RotaryLayout::Pairs::interleaved
                                                           : RotaryLayout::Pairs::half_split);
}

void describe_bailing_latent(Blueprint& blueprint, const ConfigReader& config) {
    const LatentAttention attention = latent_attention_from(config, "attention");
    add(blueprint, attention);
    add_latent_rotary(blueprint, config, attention.rope_dim, RotaryLayout::Pairs::interleaved);
    blueprint.mixers_share_names = true;
    blueprint.softmax_only = {in_layer("attention.kv_b_proj.weight"),
                              in_layer("attention.kv_a_proj_with_mqa.weight")};
    blueprint.mixer_only = {in_layer("attention.k_proj.weight"),
                            in_layer("attention.A_log"),
                            in_layer("attention.query_key_value.weight"),
                            in_layer("attention.g_norm.weight")};
}

/// Ring-linear and Ling-linear 2.0: the linear layers have the same fused tensor with more rows.
void describe_bailing_linear(Blueprint& blueprint, const ConfigReader& config) {
    blueprint.heads = heads_from(config);
    add(blueprint,
        FusedProjection{
            .module = "attention.query_key_value",
            .layout = query_key_value_blocks(*blueprint.heads),
            .columns = hidden_size_of(config),
            .bias = config.flag("use_qkv_bias", false) ? Presence::required : Presence::absent});
    if (config.flag("use_qk_norm", false)) {
        add(blueprint,
            QkNorms{.module = "attention", .query = "query_layernorm", .key = "key_layernorm"});
    }
    add_rotary(blueprint, config);
    blueprint.mixers_share_names = true;
    blueprint.mixer_only = {in_layer("attention.g_proj.weight"),
                            in_layer("attention.g_norm.weight")};
}

}  // namespace

std::span<const Architecture> latent_architectures() {
    static const std::array architectures{
        Architecture{"kimi_linear", {"kimi_linear"}, verified, kimi_layers, describe_kimi},
        Architecture{"deepseek_v3", {"deepseek_v3"}, verified, all_latent, describe_deepseek},
        Architecture{"deepseek_v2", {"deepseek_v2"}, from_memory, all_latent, describe_deepseek},
        Architecture{"bailing_hybrid",
                     {"bailing_hybrid"},
                     verified,
                     bailing_hybrid_layers,
                     describe_bailing_latent},
        Architecture{"bailing_moe_v2_5",
                     {"bailing_moe_v2_5"},
                     from_memory,
                     bailing_v2_5_layers,
                     describe_bailing_latent,
                     {"BailingMoeV2_5ForCausalLM"}},
        Architecture{"bailing_moe_linear",
                     {"bailing_moe_linear"},
                     from_source,
                     bailing_linear_layers,
                     describe_bailing_linear},
    };
    return architectures;
}

}  // namespace anamnesis::checkpoint
