// SPDX-License-Identifier: Apache-2.0
#include <cstdint>

#include "anamnesis/checkpoint/blueprint.hpp"
#include "anamnesis/checkpoint/config_reader.hpp"
#include "anamnesis/checkpoint/model.hpp"

#include "attention_rules.hpp"
#include "family.hpp"
#include "family_parts.hpp"
#include "lfm_parts.hpp"
#include "spec_parts.hpp"

namespace anamnesis::checkpoint {
namespace {

MixtureSpec read_experts(const ConfigReader& config) {
    MixtureSpec spec{.experts = read_size(config, "num_experts", 32),
                     .expert = {.width = read_size(config, "moe_intermediate_size", 1792)},
                     .router = {.scores = RouterSpec::Scores::sigmoid,
                                .is_corrected = config.flag("use_expert_bias", true),
                                .is_renormalised = config.flag("norm_topk_prob", true),
                                .renormalisation = 1e-6,
                                .scale = config.find_number("routed_scaling_factor").value_or(1.0)},
                     .names = {.gate = "w1", .up = "w3", .down = "w2"}};
    spec.experts_per_token = read_experts_per_token(config, spec.experts, 4);
    return spec;
}

void plan_lfm2_moe_layers(Blueprint& blueprint, const ConfigReader& config) {
    const DenseSpec dense{.width = read_size(config, "intermediate_size", 7168)};
    const MixtureSpec experts = read_experts(config);
    const std::uint32_t first_sparse = config.count("num_dense_layers", 2);
    plan_lfm2_body(blueprint, config, [&](const Layer& layer) {
        return layer.index.value < first_sparse ? FeedForwardSpec(dense) : FeedForwardSpec(experts);
    });
}

}  // namespace

namespace families {

Family lfm2_moe() {
    return {.name = "lfm2_moe",
            .model_types = {"lfm2_moe"},
            .evidence = verified,
            .read_layers = read_lfm2_layers,
            .plan_attention = plan_lfm2_attention,
            .plan_layers = plan_lfm2_moe_layers};
}

}  // namespace families
}  // namespace anamnesis::checkpoint
