// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "anamnesis/base/json.hpp"
#include "anamnesis/checkpoint/config_reader.hpp"
#include "anamnesis/checkpoint/model.hpp"

#include "architecture.hpp"
#include "blueprint.hpp"
#include "layer_kinds.hpp"
#include "rotary.hpp"

namespace anamnesis::checkpoint {
namespace {

std::vector<Layer> hypenet_layers(const ConfigReader& config) {
    if (auto listed = find_listed_layers(config, {"mixer_types"})) {
        return *std::move(listed);
    }
    return layers_all(layer_count(config, 32), LayerKind::full);
}

std::vector<Layer> jet_layers(const ConfigReader& config) {
    if (auto listed = find_listed_layers(config, {"layer_types"})) {
        return *std::move(listed);
    }
    return layers_all(layer_count(config, 28), LayerKind::full);
}

std::vector<Layer> layers_by_interval(const ConfigReader& config, std::uint32_t default_count) {
    if (auto listed = find_listed_layers(config, {"layer_types"})) {
        return *std::move(listed);
    }
    const std::uint32_t interval = config.count("full_attention_interval", 4);
    return layers_by(layer_count(config, default_count), [=](std::uint32_t layer) {
        const bool is_full = interval != 0 && (layer + 1) % interval == 0;
        return Kinds{is_full ? LayerKind::full : LayerKind::linear};
    });
}

bool is_mixture(const ConfigReader& config) {
    return config.find_word("model_type").value_or("").find("_moe") != std::string::npos;
}

std::vector<Layer> qwen3_next_layers(const ConfigReader& config) {
    return layers_by_interval(config, 48);
}

std::vector<Layer> qwen3_5_layers(const ConfigReader& config) {
    return layers_by_interval(config, is_mixture(config) ? 40 : 32);
}

/// A Qwen3 body without rotary encoding and with a separate output gate.
void describe_hypenet(Blueprint& blueprint, const ConfigReader& config) {
    constexpr HeadDefaults defaults{
        .query_heads = 32, .kv_heads = 32, .head_dim = 128, .hidden_size = 4096};
    blueprint.heads = heads_from(config, defaults);
    add(blueprint,
        SeparateProjections{
            .heads = blueprint.heads,
            .columns = hidden_size_of(config, defaults.hidden_size),
            .bias = config.flag("attention_bias", false) ? Presence::required : Presence::absent});
    add(blueprint, QkNorms{});
    // A number is a constant factor; a string grows with the position and is chosen after training.
    if (const Json* scaling = config.find("attn_logits_scaling");
        scaling != nullptr && scaling->is_number()) {
        blueprint.position.attention_scale = scaling->as_double("attn_logits_scaling");
    }
    if (config.flag("attn_use_rope", true)) {
        add_rotary(blueprint, config, {.theta = 10'000.0});
    } else {
        add_no_rotary(blueprint);
    }
    blueprint.mixers_share_names = true;
    blueprint.softmax_only = {in_layer("self_attn.o_gate.weight")};
    blueprint.mixer_only = {in_layer("self_attn.z_proj.weight"),
                            in_layer("self_attn.o_norm.weight")};
}

/// A Qwen2.5 body whose linear layers use the same names without biases.
void describe_jet(Blueprint& blueprint, const ConfigReader& config) {
    constexpr HeadDefaults defaults{.query_heads = 12, .kv_heads = 2, .hidden_size = 1536};
    blueprint.heads = heads_from(config, defaults);
    add(blueprint,
        SeparateProjections{.heads = blueprint.heads,
                            .columns = hidden_size_of(config, defaults.hidden_size),
                            .bias = Presence::required});
    add_rotary(blueprint, config, {.theta = 1e6});
    blueprint.is_tied_by_default = true;
    blueprint.mixers_share_names = true;
    blueprint.softmax_only = {in_layer("self_attn.q_proj.bias")};
    blueprint.mixer_only = {in_layer("self_attn.A_log"), in_layer("self_attn.dt_bias")};
}

void describe_gated(Blueprint& blueprint,
                    const ConfigReader& config,
                    const HeadDefaults& defaults) {
    blueprint.heads = heads_from(config, defaults);
    add(blueprint,
        SeparateProjections{
            .heads = blueprint.heads,
            .columns = hidden_size_of(config, defaults.hidden_size),
            .query_rows = QueryRows::with_gates,
            .bias = config.flag("attention_bias", false) ? Presence::required : Presence::absent});
    add(blueprint, QkNorms{.kind = QkNorm::per_head_plus1});
    add_rotary(blueprint, config, {.partial_factor = 0.25, .theta = 10'000.0});
    blueprint.mixer_only = {in_layer("linear_attn.A_log"), in_layer("linear_attn.conv1d.weight")};
}

void describe_qwen3_next(Blueprint& blueprint, const ConfigReader& config) {
    describe_gated(blueprint,
                   config,
                   {.query_heads = 16, .kv_heads = 2, .head_dim = 256, .hidden_size = 2048});
}

void describe_qwen3_5(Blueprint& blueprint, const ConfigReader& config) {
    describe_gated(blueprint,
                   config,
                   {.query_heads = 16,
                    .kv_heads = is_mixture(config) ? 2U : 4U,
                    .head_dim = 256,
                    .hidden_size = is_mixture(config) ? 2048U : 4096U});
}

}  // namespace

std::span<const Architecture> delta_architectures() {
    static const std::array architectures{
        Architecture{"hypenet", {"hypenet"}, verified, hypenet_layers, describe_hypenet},
        Architecture{"jet_nemotron", {"jet_nemotron"}, verified, jet_layers, describe_jet},
        Architecture{
            "qwen3_next", {"qwen3_next"}, verified, qwen3_next_layers, describe_qwen3_next},
        Architecture{"qwen3_5",
                     {"qwen3_5", "qwen3_5_text", "qwen3_5_moe", "qwen3_5_moe_text"},
                     verified,
                     qwen3_5_layers,
                     describe_qwen3_5},
    };
    return architectures;
}

}  // namespace anamnesis::checkpoint
