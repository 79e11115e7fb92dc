// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <cstdint>
#include <vector>

#include "anamnesis/checkpoint/blueprint.hpp"
#include "anamnesis/checkpoint/config_reader.hpp"
#include "anamnesis/checkpoint/model.hpp"

#include "attention_rules.hpp"
#include "family.hpp"
#include "family_parts.hpp"
#include "layer_kinds.hpp"
#include "rotary.hpp"

namespace anamnesis::checkpoint {
namespace {

/// Attention and state space side by side in every layer.
std::vector<Layer> read_falcon_h1_layers(const ConfigReader& config) {
    return make_layers(read_layer_count(config),
                       [](std::uint32_t) { return Kinds{LayerKind::full, LayerKind::linear}; });
}

void plan_falcon_h1_attention(Blueprint& blueprint, const ConfigReader& config) {
    plan_separate(blueprint, config, read_bias(config));
    // Both multipliers reach the scores: one through the keys, one through queries and keys.
    const double input = config.find_number("attention_in_multiplier").value_or(1.0);
    const double key = config.find_number("key_multiplier").value_or(1.0);
    blueprint.position.attention_scale =
        input * input * key / std::sqrt(static_cast<double>(blueprint.heads->head_dim));
    add_rotary(blueprint, config);
}

}  // namespace

namespace families {

Family falcon_h1() {
    return {.name = "falcon_h1",
            .model_types = {"falcon_h1"},
            .evidence = verified,
            .read_layers = read_falcon_h1_layers,
            .plan_attention = plan_falcon_h1_attention};
}

}  // namespace families
}  // namespace anamnesis::checkpoint
