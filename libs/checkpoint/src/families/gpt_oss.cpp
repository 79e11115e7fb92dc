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
#include "rotary.hpp"

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
    add_rotary(blueprint, config);
}

}  // namespace

namespace families {

Family gpt_oss() {
    return {.name = "gpt_oss",
            .model_types = {"gpt_oss"},
            .evidence = verified,
            .read_layers = read_gpt_oss_layers,
            .plan_attention = plan_gpt_oss_attention};
}

}  // namespace families
}  // namespace anamnesis::checkpoint
