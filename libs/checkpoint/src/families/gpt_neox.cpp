// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/checkpoint/blueprint.hpp"
#include "anamnesis/checkpoint/config_reader.hpp"

#include "attention_rules.hpp"
#include "family.hpp"
#include "family_parts.hpp"
#include "rotary.hpp"

namespace anamnesis::checkpoint {
namespace {

void plan_gpt_neox_attention(Blueprint& blueprint, const ConfigReader& config) {
    blueprint.heads = read_heads(config);
    add(blueprint,
        FusedProjection{.module = "attention.query_key_value",
                        .layout = group_by_kv_head(*blueprint.heads),
                        .columns = read_hidden_size(config),
                        .bias = read_bias(config, true)});
    add_rotary(blueprint, config, {.partial_factor = 0.25});
}

}  // namespace

namespace families {

Family gpt_neox() {
    return {.name = "gpt_neox",
            .model_types = {"gpt_neox"},
            .evidence = verified,
            .read_layers = read_full_layers,
            .plan_attention = plan_gpt_neox_attention};
}

}  // namespace families
}  // namespace anamnesis::checkpoint
