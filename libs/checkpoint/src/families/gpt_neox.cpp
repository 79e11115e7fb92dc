// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/checkpoint/blueprint.hpp"
#include "anamnesis/checkpoint/config_reader.hpp"
#include "anamnesis/checkpoint/tensor_roles.hpp"

#include "attention_rules.hpp"
#include "family.hpp"
#include "family_parts.hpp"
#include "layer_plan.hpp"
#include "rotary.hpp"
#include "spec_parts.hpp"

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

void plan_gpt_neox_layers(Blueprint& blueprint, const ConfigReader& config) {
    blueprint.prefix = "gpt_neox.";
    blueprint.norm_kind = NormKind::layer;
    blueprint.norm_eps = config.find_number("layer_norm_eps").value_or(1e-5);
    DenseSpec dense = read_dense(config, 24'576);
    dense.activation = read_activation(config, "hidden_act", Activation::gelu);
    dense.is_gated = false;
    dense.has_biases = true;
    plan_softmax_body(
        blueprint,
        make_softmax_kinds(blueprint, config),
        {.spec = {.feed_forward = dense, .is_parallel = config.flag("use_parallel_residual", true)},
         .mixer = {.name = "attention", .renamed = {{role::output, "dense"}}},
         .feed_forward = {.name = "mlp",
                          .renamed = {{role::up, "dense_h_to_4h"}, {role::down, "dense_4h_to_h"}}}},
        {.embedding = "embed_in", .final_norm = "final_layer_norm", .head = "embed_out"});
}

}  // namespace

namespace families {

Family gpt_neox() {
    return {.name = "gpt_neox",
            .model_types = {"gpt_neox"},
            .evidence = verified,
            .read_layers = read_full_layers,
            .plan_attention = plan_gpt_neox_attention,
            .plan_layers = plan_gpt_neox_layers,
            .defaults = {.context_length = 2048}};
}

}  // namespace families
}  // namespace anamnesis::checkpoint
