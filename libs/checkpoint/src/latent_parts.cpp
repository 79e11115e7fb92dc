// SPDX-License-Identifier: Apache-2.0
#include "latent_parts.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/blueprint.hpp"
#include "anamnesis/checkpoint/config_reader.hpp"
#include "anamnesis/checkpoint/tensor_roles.hpp"

#include "attention_rules.hpp"
#include "family_parts.hpp"
#include "layer_plan.hpp"
#include "layer_tensors.hpp"
#include "spec_parts.hpp"

namespace anamnesis::checkpoint {
namespace {

/// The factor of YaRN on queries and keys alike, where the scaling states one for all dimensions.
/// A config without a type of scaling has none, whatever else it states.
double find_yarn_factor(const Json& scaling) {
    if (!scaling.is_object() || scaling.find("rope_type") == nullptr) {
        return 1.0;
    }
    const auto number = [&](std::string_view key) {
        const Json* value = scaling.find(key);
        return value == nullptr || value->is_null() ? 0.0 : number_from(*value, key);
    };
    const double factor = number("factor");
    return factor > 1.0 ? 0.1 * number("mscale_all_dim") * std::log(factor) + 1.0 : 1.0;
}

}  // namespace

LatentAttentionSpec make_latent_attention(const Blueprint& blueprint,
                                          const LatentAttention& attention) {
    LatentAttentionSpec spec{.heads = attention.heads,
                             .nope_dim = attention.nope_dim,
                             .rope_dim = attention.rope_dim,
                             .value_dim = attention.value_dim,
                             .kv_rank = attention.kv_rank,
                             .query_rank = attention.query_rank,
                             .rotary = make_rotary_settings(blueprint)};
    spec.pairs_neighbours = blueprint.rotary.pairs == RotaryLayout::Pairs::interleaved;
    const double factor = spec.rotary ? find_yarn_factor(spec.rotary->scaling) : 1.0;
    spec.scale = factor * factor / std::sqrt(static_cast<double>(spec.key_dim()));
    return spec;
}

std::vector<bool> find_sparse_layers(const ConfigReader& config,
                                     std::size_t layers,
                                     std::uint32_t default_dense) {
    std::vector<bool> sparse(layers);
    const auto listed = config.find_words("mlp_layer_types");
    const std::uint32_t dense = config.count("first_k_dense_replace", default_dense);
    const std::uint32_t step = read_size(config, "moe_layer_freq", 1);
    if (listed && listed->size() != layers) {
        throw Error(ErrorKind::malformed,
                    format("config key 'mlp_layer_types' lists {} layers, num_hidden_layers is {}",
                           listed->size(),
                           layers));
    }
    for (std::size_t i = 0; i < layers; ++i) {
        sparse[i] = listed ? (*listed)[i] == "sparse" : i >= dense && i % step == 0;
        if (listed && !sparse[i] && (*listed)[i] != "dense") {
            throw Error(
                ErrorKind::malformed,
                format("config key 'mlp_layer_types' names {}, expected \"dense\" or \"sparse\"",
                       in_quotes((*listed)[i])));
        }
    }
    return sparse;
}

MixtureSpec read_latent_mixture(const ConfigReader& config, const LatentMixtureDefaults& defaults) {
    const auto count = [&](std::initializer_list<std::string_view> keys, std::uint32_t fallback) {
        const auto* const stated =
            std::ranges::find_if(keys, [&](std::string_view key) { return config.has(key); });
        return stated == keys.end() ? fallback : config.count(*stated, fallback);
    };
    const Activation activation = read_activation(config);
    const std::uint32_t width = read_size(config, "moe_intermediate_size", defaults.width);
    MixtureSpec spec{
        .experts = check_size(
            count({"num_experts", "n_routed_experts", "num_local_experts"}, defaults.experts),
            "num_experts"),
        .expert = {.width = width, .activation = activation}};
    spec.experts_per_token =
        read_experts_per_token(config, spec.experts, defaults.experts_per_token);
    const std::uint32_t shared = count({"num_shared_experts", "n_shared_experts"}, defaults.shared);
    if (shared != 0) {
        spec.shared =
            SharedExpertSpec{.dense = {.width = shared * width, .activation = activation}};
    }
    return spec;
}

Module make_mixture_module(std::string_view name, std::string_view correction) {
    return {.name = name,
            .renamed = {{role::router_correction, correction},
                        {role::shared_gate, "shared_experts.gate_proj"},
                        {role::shared_up, "shared_experts.up_proj"},
                        {role::shared_down, "shared_experts.down_proj"}}};
}

void plan_deepseek_body(Blueprint& blueprint,
                        const ConfigReader& config,
                        const DeepseekFeedForwards& feed_forwards) {
    const LatentAttentionSpec latent =
        make_latent_attention(blueprint, read_deepseek_attention(config));
    const DenseSpec dense = read_dense(config, feed_forwards.default_width);
    const std::vector<bool> sparse =
        find_sparse_layers(config, blueprint.layers.size(), feed_forwards.default_dense);
    plan_body(blueprint, [&](const Layer& layer) {
        LayerPlan plan{.spec = {.mixer = latent, .feed_forward = dense}};
        if (sparse[layer.index.value]) {
            plan.spec.feed_forward = feed_forwards.experts;
            plan.feed_forward = make_mixture_module("mlp", "gate.e_score_correction_bias");
        }
        return plan;
    });
}

}  // namespace anamnesis::checkpoint
