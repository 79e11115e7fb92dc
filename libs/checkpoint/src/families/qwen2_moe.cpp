// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/checkpoint/blueprint.hpp"
#include "anamnesis/checkpoint/config_reader.hpp"

#include "attention_rules.hpp"
#include "family.hpp"
#include "family_parts.hpp"
#include "layer_plan.hpp"
#include "spec_parts.hpp"

namespace anamnesis::checkpoint {
namespace {

void plan_qwen2_moe_layers(Blueprint& blueprint, const ConfigReader& config) {
    plan_qwen_mixtures(blueprint,
                       config,
                       {.experts = 60,
                        .experts_per_token = 4,
                        .width = 1408,
                        .shared_width = 5632,
                        .dense_width = 5632,
                        .is_renormalised = config.flag("norm_topk_prob", false)});
}

}  // namespace

namespace families {

Family qwen2_moe() {
    return {.name = "qwen2_moe",
            .model_types = {"qwen2_moe"},
            .evidence = from_memory,
            .read_layers = read_qwen_layers,
            .plan_attention = plan_qwen2_attention,
            .plan_layers = plan_qwen2_moe_layers};
}

}  // namespace families
}  // namespace anamnesis::checkpoint
