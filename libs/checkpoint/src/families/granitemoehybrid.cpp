// SPDX-License-Identifier: Apache-2.0
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

}  // namespace

namespace families {

Family granitemoehybrid() {
    return {.name = "granitemoehybrid",
            .model_types = {"granitemoehybrid"},
            .evidence = verified,
            .read_layers = read_granite_layers,
            .plan_attention = plan_granite_attention};
}

}  // namespace families
}  // namespace anamnesis::checkpoint
