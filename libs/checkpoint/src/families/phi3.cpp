// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/checkpoint/blueprint.hpp"
#include "anamnesis/checkpoint/config_reader.hpp"

#include "attention_rules.hpp"
#include "family.hpp"
#include "family_parts.hpp"
#include "rotary.hpp"

namespace anamnesis::checkpoint {
namespace {

void plan_phi3_attention(Blueprint& blueprint, const ConfigReader& config) {
    blueprint.heads = read_heads(config);
    add(blueprint,
        FusedProjection{.layout = make_query_key_value_blocks(*blueprint.heads),
                        .columns = read_hidden_size(config)});
    add_rotary(blueprint, config);
}

}  // namespace

namespace families {

Family phi3() {
    return {.name = "phi3",
            .model_types = {"phi3"},
            .evidence = verified,
            .read_layers = read_layers_by_window,
            .plan_attention = plan_phi3_attention};
}

}  // namespace families
}  // namespace anamnesis::checkpoint
