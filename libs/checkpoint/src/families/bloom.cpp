// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/checkpoint/blueprint.hpp"
#include "anamnesis/checkpoint/config_reader.hpp"

#include "attention_rules.hpp"
#include "family.hpp"
#include "family_parts.hpp"
#include "rotary.hpp"

namespace anamnesis::checkpoint {
namespace {

void plan_bloom_attention(Blueprint& blueprint, const ConfigReader& config) {
    blueprint.heads = read_heads(config);
    tie_head_by_default(blueprint);
    add_in_transformer_h(blueprint,
                         {.module = "self_attention.query_key_value",
                          .layout = group_by_kv_head(*blueprint.heads),
                          .columns = read_hidden_size(config),
                          .bias = Presence::required});
    // ALiBi: distances act on the scores, no row is rotated.
    add_no_rotary(blueprint);
}

}  // namespace

namespace families {

Family bloom() {
    return {.name = "bloom",
            .model_types = {"bloom"},
            .evidence = from_memory,
            .read_layers = read_full_layers,
            .plan_attention = plan_bloom_attention};
}

}  // namespace families
}  // namespace anamnesis::checkpoint
