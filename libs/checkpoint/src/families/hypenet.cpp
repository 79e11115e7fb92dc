// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/index.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/blueprint.hpp"
#include "anamnesis/checkpoint/config_reader.hpp"
#include "anamnesis/checkpoint/model.hpp"

#include "attention_rules.hpp"
#include "family.hpp"
#include "family_parts.hpp"
#include "layer_kinds.hpp"
#include "layer_plan.hpp"
#include "rotary.hpp"
#include "spec_parts.hpp"

namespace anamnesis::checkpoint {
namespace {

constexpr HeadDefaults defaults{
    .query_heads = 32, .kv_heads = 32, .head_dim = 128, .hidden_size = 4096};
constexpr std::uint32_t default_width = 22'016;

std::vector<Layer> read_hypenet_layers(const ConfigReader& config) {
    if (auto listed = find_listed_layers(config, {"mixer_types"})) {
        return *std::move(listed);
    }
    return make_uniform_layers(read_layer_count(config, 32), LayerKind::full);
}

/// A Qwen3 body without rotary encoding and with a separate output gate.
void plan_hypenet_attention(Blueprint& blueprint, const ConfigReader& config) {
    plan_separate(blueprint, config, read_bias(config), defaults);
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
    blueprint.softmax.mixers_share_names = true;
    blueprint.softmax.softmax_only = {in_layer("self_attn.o_gate.weight")};
    blueprint.softmax.mixer_only = {in_layer("self_attn.z_proj.weight"),
                                    in_layer("self_attn.o_norm.weight")};
}

double read_scale(const ConfigReader& config, std::uint32_t head_dim) {
    const std::string word = config.find_word("lightning_scale").value_or("1/sqrt(d)");
    if (word == "1/sqrt(d)") {
        return 1.0 / std::sqrt(static_cast<double>(head_dim));
    }
    return word == "1/d" ? 1.0 / head_dim : 1.0;
}

double read_rope_theta(const ConfigReader& config) {
    if (const Json* parameters = config.find("rope_parameters")) {
        if (const Json* theta = parameters->find("rope_theta");
            theta != nullptr && !theta->is_null()) {
            return number_from(*theta, "rope_theta");
        }
    }
    return config.find_number("rope_theta").value_or(10'000.0);
}

Part read_part(const ConfigReader& config, std::string_view key) {
    if (!config.has(key)) {
        return Part::unstated;
    }
    return config.flag(key, false) ? Part::present : Part::absent;
}

HeadLayout read_lightning_heads(const ConfigReader& config, const HeadLayout& softmax) {
    const HeadLayout heads{.query_heads = read_size(config, "lightning_nh", softmax.query_heads),
                           .kv_heads = read_size(config, "lightning_nkv", softmax.kv_heads),
                           .head_dim = read_size(config, "lightning_head_dim", softmax.head_dim)};
    if (heads.query_heads % heads.kv_heads != 0) {
        throw Error(ErrorKind::malformed,
                    format("{} lightning heads cannot share {} key-value heads",
                           heads.query_heads,
                           heads.kv_heads));
    }
    return heads;
}

LightningSpec read_lightning(const Blueprint& blueprint, const ConfigReader& config) {
    const HeadLayout heads = read_lightning_heads(config, *blueprint.heads);
    if (config.flag("lightning_use_short_conv", false)) {
        throw Error(ErrorKind::unsupported, "'lightning_use_short_conv' is not supported");
    }
    LightningSpec spec{.heads = heads,
                       .scale = read_scale(config, heads.head_dim),
                       .qk_norm = read_part(config, "lightning_use_qk_norm"),
                       .output_norm = read_part(config, "lightning_use_output_norm"),
                       .output_gate = read_part(config, "lightning_use_output_gate")};
    if (config.flag("lightning_use_rope", true)) {
        const Json* scaling = config.find("rope_scaling");
        spec.rotary = RotarySettings{.dimensions = heads.head_dim,
                                     .theta = read_rope_theta(config),
                                     .scaling = scaling == nullptr ? Json() : *scaling,
                                     .context_length = blueprint.context_length};
    }
    return spec;
}

std::optional<LengthScaling> read_length_scaling(const ConfigReader& config) {
    const Json* value = config.find("attn_logits_scaling");
    if (value == nullptr) {
        return std::nullopt;
    }
    if (value->is_string()) {
        return parse_length_scaling(value->as_string("attn_logits_scaling"));
    }
    return LengthScaling{.constant = value->as_double("attn_logits_scaling")};
}

void plan_hypenet_layers(Blueprint& blueprint, const ConfigReader& config) {
    if (config.flag("attention_bias", false)) {
        throw Error(ErrorKind::unsupported, "HypeNet with 'attention_bias' is not supported");
    }
    AttentionSpec softmax = make_attention(blueprint);
    softmax.gate =
        config.flag("attn_use_output_gate", false) ? OutputGate::separate : OutputGate::none;
    softmax.scaling = read_length_scaling(config);
    const LightningSpec lightning = read_lightning(blueprint, config);
    const DenseSpec dense = read_dense(config, default_width);
    plan_body(blueprint, [&](const Layer& layer) {
        return is_only(layer, LayerKind::full)
                   ? LayerPlan{.spec = {.mixer = softmax, .feed_forward = dense}}
                   : LayerPlan{.spec = {.mixer = lightning, .feed_forward = dense}};
    });
}

}  // namespace

namespace families {

Family hypenet() {
    return {
        .name = "hypenet",
        .model_types = {"hypenet"},
        .evidence = verified,
        .read_layers = read_hypenet_layers,
        .plan_attention = plan_hypenet_attention,
        .plan_layers = plan_hypenet_layers,
        .nameless = NamelessForm{.signs = {"self_attn.o_gate.weight", "self_attn.z_proj.weight"},
                                 .config = R"({"attn_use_rope": false})"}};
}

}  // namespace families
}  // namespace anamnesis::checkpoint
