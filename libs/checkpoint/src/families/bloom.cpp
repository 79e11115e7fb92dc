// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/base/error.hpp"
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

void plan_bloom_layers(Blueprint& blueprint, const ConfigReader& config) {
    if (config.flag("apply_residual_connection_post_layernorm", false)) {
        throw Error(ErrorKind::unsupported,
                    "'apply_residual_connection_post_layernorm' is set: such a BLOOM does not run "
                    "here");
    }
    use_layer_norm(blueprint, config, "layer_norm_epsilon");
    // Positions have no end; those of training are all that is stated.
    blueprint.context_length = config.count("seq_length", 2048);
    AttentionSpec attention = make_attention(blueprint);
    attention.alibi_factor = 1.0;
    plan_softmax_body(
        blueprint,
        {.full = attention, .sliding = attention},
        {.spec = {.feed_forward =
                      make_plain_dense(4 * blueprint.hidden_size, Activation::gelu_tanh)},
         .mixer = {.name = "self_attention", .renamed = {{role::output, "dense"}}},
         .feed_forward = {.name = "mlp",
                          .renamed = {{role::up, "dense_h_to_4h"}, {role::down, "dense_4h_to_h"}}}},
        {.embedding = "word_embeddings",
         .final_norm = "ln_f",
         .embedding_norm = "word_embeddings_layernorm"});
}

}  // namespace

namespace families {

Family bloom() {
    return {.name = "bloom",
            .model_types = {"bloom"},
            .evidence = verified,
            .read_layers = read_full_layers,
            .plan_attention = plan_bloom_attention,
            .plan_layers = plan_bloom_layers};
}

}  // namespace families
}  // namespace anamnesis::checkpoint
