// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/checkpoint/blueprint.hpp"
#include "anamnesis/checkpoint/config_reader.hpp"

#include "attention_rules.hpp"
#include "family.hpp"
#include "family_parts.hpp"
#include "rotary.hpp"

namespace anamnesis::checkpoint {
namespace {

void plan_phi_attention(Blueprint& blueprint, const ConfigReader& config) {
    plan_separate(blueprint, config, Presence::required);
    if (config.flag("qk_layernorm", false)) {
        add(blueprint, QkNorms{.query = "q_layernorm", .key = "k_layernorm"});
    }
    add_rotary(blueprint, config, {.partial_factor = 0.5});
}

}  // namespace

namespace families {

Family phi() {
    return {.name = "phi",
            .model_types = {"phi"},
            .evidence = from_memory,
            .read_layers = read_full_layers,
            .plan_attention = plan_phi_attention};
}

}  // namespace families
}  // namespace anamnesis::checkpoint
