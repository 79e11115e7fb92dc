// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/checkpoint/blueprint.hpp"
#include "anamnesis/checkpoint/config_reader.hpp"

#include "attention_rules.hpp"
#include "family.hpp"
#include "family_parts.hpp"
#include "layer_plan.hpp"
#include "rotary.hpp"
#include "spec_parts.hpp"

namespace anamnesis::checkpoint {
namespace {

void plan_phi3_attention(Blueprint& blueprint, const ConfigReader& config) {
    blueprint.heads = read_heads(config);
    add(blueprint,
        FusedProjection{.layout = make_query_key_value_blocks(*blueprint.heads),
                        .columns = read_hidden_size(config)});
    add_rotary(blueprint, config, {.original_context = 4096});
}

void plan_phi3_layers(Blueprint& blueprint, const ConfigReader& config) {
    DenseSpec dense = read_dense(config, 8192);
    dense.is_fused = true;
    plan_softmax_body(
        blueprint, make_softmax_kinds(blueprint, config), {.spec = {.feed_forward = dense}});
}

}  // namespace

namespace families {

Family phi3() {
    return {.name = "phi3",
            .model_types = {"phi3"},
            .evidence = verified,
            .read_layers = read_layers_by_window,
            .plan_attention = plan_phi3_attention,
            .plan_layers = plan_phi3_layers,
            .defaults = {.norm_eps = 1e-5, .context_length = 4096}};
}

}  // namespace families
}  // namespace anamnesis::checkpoint
