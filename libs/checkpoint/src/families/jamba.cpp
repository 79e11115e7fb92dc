// SPDX-License-Identifier: Apache-2.0
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/checkpoint/blueprint.hpp"
#include "anamnesis/checkpoint/config_reader.hpp"
#include "anamnesis/checkpoint/model.hpp"

#include "attention_rules.hpp"
#include "family.hpp"
#include "family_parts.hpp"
#include "latent_parts.hpp"
#include "layer_kinds.hpp"
#include "layer_plan.hpp"
#include "mamba_parts.hpp"
#include "rotary.hpp"
#include "spec_parts.hpp"

namespace anamnesis::checkpoint {
namespace {

std::vector<Layer> read_jamba_layers(const ConfigReader& config) {
    if (auto listed = find_listed_layers(config, {"layer_types"})) {
        return *std::move(listed);
    }
    const std::uint32_t period = config.count("attn_layer_period", 8);
    const std::uint32_t offset = config.count("attn_layer_offset", 4);
    if (period == 0) {
        throw Error(ErrorKind::malformed, "config key 'attn_layer_period' is 0");
    }
    return make_layers(read_layer_count(config), [=](std::uint32_t layer) {
        return Kinds{layer % period == offset ? LayerKind::full : LayerKind::linear};
    });
}

void plan_jamba_attention(Blueprint& blueprint, const ConfigReader& config) {
    plan_separate(blueprint, config, read_bias(config));
    add_no_rotary(blueprint);
    blueprint.softmax.mixer_only = {in_layer("mamba.A_log"), in_layer("mamba.in_proj.weight")};
}

Mamba1Spec read_mamba1(const ConfigReader& config, const Blueprint& blueprint) {
    const std::uint32_t hidden = blueprint.hidden_size;
    return {.channels = read_size(config, "mamba_expand", 2) * hidden,
            .state_size = read_size(config, "mamba_d_state", 16),
            .step_rank = read_size_or_auto(config, "mamba_dt_rank", (hidden + 15) / 16),
            .conv_width = read_size(config, "mamba_d_conv", 4),
            .has_conv_bias = config.flag("mamba_conv_bias", true),
            .has_bias = config.flag("mamba_proj_bias", false),
            .has_inner_norms = config.flag("mamba_inner_layernorms", true),
            .norm_eps = blueprint.norm_eps};
}

/// Which layers have experts: as a list says, or every `expert_layer_period`th.
std::vector<bool> find_sparse(const ConfigReader& config, std::size_t layers) {
    if (config.has("mlp_layer_types")) {
        return find_sparse_layers(config, layers, 0);
    }
    const std::uint32_t period = read_size(config, "expert_layer_period", 2);
    const std::uint32_t offset = config.count("expert_layer_offset", 1);
    std::vector<bool> sparse(layers);
    for (std::size_t layer = 0; layer < layers; ++layer) {
        sparse[layer] = layer % period == offset;
    }
    return sparse;
}

void plan_jamba_layers(Blueprint& blueprint, const ConfigReader& config) {
    expect_silu_in_mixers(config);
    const AttentionSpec attention = make_attention(blueprint);
    const DenseSpec dense = read_dense(config, 14'336);
    const std::uint32_t experts = read_size(config, "num_experts", 16);
    const MixtureSpec mixture{.experts = experts,
                              .experts_per_token = read_experts_per_token(config, experts, 2),
                              .expert = dense,
                              .router = {.is_renormalised = false}};
    const std::vector<bool> sparse = find_sparse(config, blueprint.layers.size());
    plan_body(blueprint,
              [&](const Layer& layer) {
                  LayerPlan plan{.spec = {.mixer = attention, .feed_forward = dense},
                                 .feed_forward = {.name = "feed_forward",
                                                  .renamed = {{role::router, "router"}}},
                                 .feed_forward_norm = {"pre_ff_layernorm"}};
                  if (!is_only(layer, LayerKind::full)) {
                      plan.spec.mixer = read_mamba1(config, blueprint);
                      plan.mixer = {.name = "mamba"};
                  }
                  if (experts > 1 && sparse[layer.index.value]) {
                      plan.spec.feed_forward = mixture;
                  }
                  return plan;
              },
              {.final_norm = "final_layernorm"});
}

}  // namespace

namespace families {

Family jamba() {
    return {.name = "jamba",
            .model_types = {"jamba"},
            .evidence = verified,
            .read_layers = read_jamba_layers,
            .plan_attention = plan_jamba_attention,
            .plan_layers = plan_jamba_layers,
            .defaults = {.context_length = 262'144}};
}

}  // namespace families
}  // namespace anamnesis::checkpoint
