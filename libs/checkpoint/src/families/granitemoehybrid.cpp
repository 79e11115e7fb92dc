// SPDX-License-Identifier: Apache-2.0
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "anamnesis/checkpoint/blueprint.hpp"
#include "anamnesis/checkpoint/config_reader.hpp"
#include "anamnesis/checkpoint/model.hpp"

#include "attention_rules.hpp"
#include "family.hpp"
#include "family_parts.hpp"
#include "layer_kinds.hpp"
#include "layer_plan.hpp"
#include "mamba_parts.hpp"
#include "rotary.hpp"
#include "spec_parts.hpp"

namespace anamnesis::checkpoint {
namespace {

std::vector<Layer> read_granite_layers(const ConfigReader& config) {
    if (auto listed = find_listed_layers(config, {"layer_types", "layers_block_type"})) {
        return *std::move(listed);
    }
    return make_uniform_layers(read_layer_count(config), LayerKind::linear);
}

void plan_granite_attention(Blueprint& blueprint, const ConfigReader& config) {
    plan_separate(blueprint, config, read_bias(config));
    blueprint.position.attention_scale = config.find_number("attention_multiplier");
    if (config.find_word("position_embedding_type") == "rope") {
        add_rotary(blueprint, config);
    } else {
        add_no_rotary(blueprint);
    }
    blueprint.softmax.mixer_only = {in_layer("mamba.A_log"), in_layer("mamba.in_proj.weight")};
}

/// An expert that every token takes, and, unless there are none, experts after a router.
LayerPlan plan_feed_forward(const ConfigReader& config) {
    const Activation activation = read_activation(config);
    const DenseSpec shared{.width = read_size(config, "shared_intermediate_size", 1024),
                           .activation = activation,
                           .is_fused = true};
    const std::uint32_t experts = config.count("num_local_experts", 8);
    if (experts == 0) {
        return {.spec = {.feed_forward = shared},
                .feed_forward = {
                    .name = "shared_mlp",
                    .renamed = {{role::gate_up, "input_linear"}, {role::down, "output_linear"}}}};
    }
    const MixtureSpec mixture{
        .experts = experts,
        .experts_per_token = read_experts_per_token(config, experts, 2),
        .expert = {.width = read_size(config, "intermediate_size", 4096), .activation = activation},
        .router = {.scores = RouterSpec::Scores::chosen_softmax},
        .shared = SharedExpertSpec{.dense = shared},
        .layout = ExpertLayout::stacked};
    return {.spec = {.feed_forward = mixture},
            .feed_forward = {
                .name = "",
                .renamed = {{role::router, "block_sparse_moe.router.layer"},
                            {role::experts_gate_up, "block_sparse_moe.input_linear.weight"},
                            {role::experts_down, "block_sparse_moe.output_linear.weight"},
                            {role::shared_gate_up, "shared_mlp.input_linear"},
                            {role::shared_down, "shared_mlp.output_linear"}}}};
}

void plan_granite_layers(Blueprint& blueprint, const ConfigReader& config) {
    expect_silu_in_mixers(config);
    const auto number = [&](std::string_view key) { return config.find_number(key).value_or(1.0); };
    blueprint.embedding_scale = number("embedding_multiplier");
    blueprint.logit_scale = 1.0 / number("logits_scaling");
    AttentionSpec attention = make_attention(blueprint);
    attention.logit_scale = number("attention_multiplier");
    const ResidualSpec residual{.branch_scale = number("residual_multiplier")};
    LayerPlan plan = plan_feed_forward(config);
    plan.spec.mixer_residual = residual;
    plan.spec.feed_forward_residual = residual;
    plan_body(blueprint, [&](const Layer& layer) {
        LayerPlan one = plan;
        if (is_only(layer, LayerKind::full)) {
            one.spec.mixer = attention;
        } else if (is_only(layer, LayerKind::linear)) {
            one.spec.mixer = read_mamba2(config, blueprint);
            one.mixer = {.name = "mamba"};
        } else {
            refuse_layer(blueprint, layer);
        }
        return one;
    });
}

}  // namespace

namespace families {

Family granitemoehybrid() {
    return {.name = "granitemoehybrid",
            .model_types = {"granitemoehybrid"},
            .evidence = verified,
            .read_layers = read_granite_layers,
            .plan_attention = plan_granite_attention,
            .plan_layers = plan_granite_layers,
            .defaults = {.context_length = 2048}};
}

}  // namespace families
}  // namespace anamnesis::checkpoint
