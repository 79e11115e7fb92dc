// SPDX-License-Identifier: Apache-2.0
#include <cstdint>
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
#include "rotary.hpp"
#include "spec_parts.hpp"

namespace anamnesis::checkpoint {
namespace {

std::vector<Layer> read_gpt_oss_layers(const ConfigReader& config) {
    if (auto listed = find_listed_layers(config, {"layer_types"})) {
        return *std::move(listed);
    }
    return make_layers(read_layer_count(config), [](std::uint32_t layer) {
        return Kinds{layer % 2 == 0 ? LayerKind::sliding : LayerKind::full};
    });
}

void plan_gpt_oss_attention(Blueprint& blueprint, const ConfigReader& config) {
    plan_separate(blueprint, config, read_bias(config, true), {.head_dim = 64});
    add_rotary(
        blueprint, config, {.scaling = R"({"rope_type": "yarn", "factor": 32.0, "beta_fast": 32.0,
                               "beta_slow": 1.0, "truncate": false,
                               "original_max_position_embeddings": 4096})"});
}

MixtureSpec read_gpt_oss_mixture(const ConfigReader& config) {
    MixtureSpec spec{.experts = read_expert_count(config, 128),
                     .expert = {.width = read_size(config, "intermediate_size", 2880),
                                .activation = Activation::clamped_swiglu,
                                .alpha = config.find_number("swiglu_alpha").value_or(1.702),
                                .limit = config.find_number("swiglu_limit").value_or(7.0)},
                     .router = {.scores = RouterSpec::Scores::chosen_softmax},
                     .layout = ExpertLayout::transposed};
    spec.experts_per_token = read_experts_per_token(config, spec.experts, 4);
    return spec;
}

void plan_gpt_oss_layers(Blueprint& blueprint, const ConfigReader& config) {
    SoftmaxKinds kinds = make_softmax_kinds(blueprint, config, 128);
    set_default_theta(kinds, blueprint, 150'000.0);
    for (AttentionSpec* attention : {&kinds.full, &kinds.sliding}) {
        attention->has_sinks = true;
    }
    plan_softmax_body(blueprint,
                      kinds,
                      {.spec = {.feed_forward = read_gpt_oss_mixture(config)},
                       .feed_forward = {.name = "mlp", .renamed = {{role::router, "router"}}}});
}

}  // namespace

namespace families {

Family gpt_oss() {
    return {.name = "gpt_oss",
            .model_types = {"gpt_oss"},
            .evidence = verified,
            .read_layers = read_gpt_oss_layers,
            .plan_attention = plan_gpt_oss_attention,
            .plan_layers = plan_gpt_oss_layers,
            .defaults = {.norm_eps = 1e-5, .context_length = 131'072}};
}

}  // namespace families
}  // namespace anamnesis::checkpoint
