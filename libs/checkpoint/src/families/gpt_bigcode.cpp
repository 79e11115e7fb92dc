// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/base/error.hpp"
#include "anamnesis/base/index.hpp"
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

void plan_gpt_bigcode_attention(Blueprint& blueprint, const ConfigReader& config) {
    if (!config.flag("multi_query", true)) {
        throw Error(ErrorKind::unsupported,
                    "gpt_bigcode without multi_query: the rows of this form are not known here; "
                    "describe them with --routing FILE, see docs/routing-file.md");
    }
    HeadLayout heads = read_heads(config);
    heads.kv_heads = 1;
    blueprint.heads = heads;
    tie_head_by_default(blueprint);
    add_in_transformer_h(blueprint,
                         {.module = "attn.c_attn",
                          .layout = make_query_key_value_blocks(heads),
                          .columns = read_hidden_size(config),
                          .bias = Presence::required});
    add_no_rotary(blueprint);
}

void plan_gpt_bigcode_layers(Blueprint& blueprint, const ConfigReader& config) {
    if (config.flag("add_cross_attention", false)) {
        throw Error(ErrorKind::unsupported,
                    "'add_cross_attention' is set: a decoder of an encoder does not run here");
    }
    use_layer_norm(blueprint, config, "layer_norm_epsilon");
    blueprint.context_length = read_size(
        config, config.has("n_positions") ? "n_positions" : "max_position_embeddings", 1024);
    AttentionSpec attention = make_attention(blueprint);
    if (!config.flag("scale_attn_weights", true)) {
        attention.logit_scale = 1.0;
    }
    const DenseSpec dense =
        make_plain_dense(read_size(config, "n_inner", 4 * blueprint.hidden_size),
                         read_activation(config, "activation_function", Activation::gelu_tanh));
    plan_softmax_body(
        blueprint,
        {.full = attention, .sliding = attention},
        {.spec = {.feed_forward = dense},
         .mixer = {.name = "attn", .renamed = {{role::output, "c_proj"}}},
         .feed_forward = {.name = "mlp", .renamed = {{role::up, "c_fc"}, {role::down, "c_proj"}}},
         .mixer_norm = {"ln_1"},
         .feed_forward_norm = {"ln_2"}},
        {.embedding = "wte",
         .final_norm = "ln_f",
         .positions = "wpe",
         .position_count = blueprint.context_length});
}

}  // namespace

namespace families {

Family gpt_bigcode() {
    return {.name = "gpt_bigcode",
            .model_types = {"gpt_bigcode"},
            .evidence = verified,
            .read_layers = read_full_layers,
            .plan_attention = plan_gpt_bigcode_attention,
            .plan_layers = plan_gpt_bigcode_layers};
}

}  // namespace families
}  // namespace anamnesis::checkpoint
