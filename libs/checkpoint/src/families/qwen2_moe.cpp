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

/// Listed, or every other one of the first `max_window_layers` slides: not Qwen2's rule.
std::vector<Layer> read_qwen2_moe_layers(const ConfigReader& config) {
    if (auto listed = find_listed_layers(config, {"layer_types"})) {
        return *std::move(listed);
    }
    const bool is_windowed = config.flag("use_sliding_window", false);
    const std::uint32_t end = config.count("max_window_layers", 28);
    return make_layers(read_layer_count(config), [=](std::uint32_t layer) {
        const bool slides = is_windowed && layer % 2 == 0 && layer < end;
        return Kinds{slides ? LayerKind::sliding : LayerKind::full};
    });
}

void plan_qwen2_moe_attention(Blueprint& blueprint, const ConfigReader& config) {
    plan_separate(blueprint, config, read_bias(config, true, "qkv_bias"));
    add_rotary(blueprint, config);
}

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
            .read_layers = read_qwen2_moe_layers,
            .plan_attention = plan_qwen2_moe_attention,
            .plan_layers = plan_qwen2_moe_layers};
}

}  // namespace families
}  // namespace anamnesis::checkpoint
