// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "anamnesis/base/json.hpp"
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

constexpr HeadDefaults defaults{.query_heads = 12, .kv_heads = 2, .hidden_size = 1536};
constexpr std::uint32_t default_width = 8960;

std::vector<Layer> read_jet_layers(const ConfigReader& config) {
    if (auto listed = find_listed_layers(config, {"layer_types"})) {
        return *std::move(listed);
    }
    return make_uniform_layers(read_layer_count(config, 28), LayerKind::full);
}

/// A Qwen2.5 body whose linear layers use the same names without biases.
void plan_jet_attention(Blueprint& blueprint, const ConfigReader& config) {
    plan_separate(blueprint, config, Presence::required, defaults);
    add_rotary(blueprint, config, {.theta = 1e6});
    tie_head_by_default(blueprint);
    blueprint.softmax.mixers_share_names = true;
    blueprint.softmax.softmax_only = {in_layer("self_attn.q_proj.bias")};
    blueprint.softmax.mixer_only = {in_layer("self_attn.A_log"), in_layer("self_attn.dt_bias")};
}

/// A number inside `efficient_attention_config`, or the fallback. Some are written as strings.
double read_efficient(const ConfigReader& config,
                      std::string_view mixer,
                      std::string_view key,
                      double fallback) {
    const Json* all = config.find("efficient_attention_config");
    const Json* one = all == nullptr ? nullptr : all->find(mixer);
    const Json* value = one == nullptr ? nullptr : one->find(key);
    return value == nullptr || value->is_null() ? fallback : number_from(*value, key);
}

/// The same for sizes.
std::uint32_t read_jet_size(const ConfigReader& config,
                            std::string_view key,
                            std::uint32_t fallback) {
    const double number = read_efficient(config, "jet", key, fallback);
    return check_size(count_from(Json(number), key), key);
}

JetSpec read_jet(const ConfigReader& config) {
    const std::uint32_t heads = read_jet_size(config, "num_heads", 6);
    const std::uint32_t key_dim = read_jet_size(config, "head_dim", 256);
    const double expansion = read_efficient(config, "jet", "expand_v", 2.0);
    // In float32 96 * 2.6666667 would truncate to 255.
    const auto value_dim = count_from(Json(std::round(key_dim * expansion)), "expand_v");
    const std::uint32_t reduction = read_jet_size(config, "dconv_generator_reduction", 8);
    return {
        .heads = heads,
        .key_dim = key_dim,
        .value_dim = check_size(value_dim, "expand_v"),
        .conv_width = read_jet_size(config, "conv_size", 4),
        .generator_width = check_size(count_from(Json(std::uint64_t{heads} * value_dim / reduction),
                                                 "dconv_generator_reduction"),
                                      "dconv_generator_reduction"),
        .norm_eps = read_efficient(config, "jet", "norm_eps", 1e-5)};
}

void plan_jet_layers(Blueprint& blueprint, const ConfigReader& config) {
    const AttentionSpec full = make_attention(blueprint);
    AttentionSpec sliding = full;
    const double window = read_efficient(config, "swa", "window_size", 0.0);
    const DenseSpec dense = read_dense(config, default_width);
    plan_body(blueprint, [&](const Layer& layer) {
        if (is_only(layer, LayerKind::linear)) {
            return LayerPlan{.spec = {.mixer = read_jet(config), .feed_forward = dense}};
        }
        const bool is_sliding = is_only(layer, LayerKind::sliding);
        if (is_sliding && !sliding.window) {
            sliding.window = check_size(count_from(Json(window), "window_size"), "window_size");
        }
        return LayerPlan{.spec = {.mixer = is_sliding ? sliding : full, .feed_forward = dense}};
    });
}

}  // namespace

namespace families {

Family jet_nemotron() {
    return {.name = "jet_nemotron",
            .model_types = {"jet_nemotron"},
            .evidence = verified,
            .read_layers = read_jet_layers,
            .plan_attention = plan_jet_attention,
            .plan_layers = plan_jet_layers};
}

}  // namespace families
}  // namespace anamnesis::checkpoint
