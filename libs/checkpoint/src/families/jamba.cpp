// SPDX-License-Identifier: Apache-2.0
#include <cstdint>
#include <vector>

#include "anamnesis/base/error.hpp"
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

std::vector<Layer> read_jamba_layers(const ConfigReader& config) {
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

}  // namespace

namespace families {

Family jamba() {
    return {.name = "jamba",
            .model_types = {"jamba"},
            .evidence = verified,
            .read_layers = read_jamba_layers,
            .plan_attention = plan_jamba_attention};
}

}  // namespace families
}  // namespace anamnesis::checkpoint
