// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <cstdint>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/index.hpp"
#include "anamnesis/base/text.hpp"
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

void plan_falcon_attention(Blueprint& blueprint, const ConfigReader& config) {
    if (!config.flag("new_decoder_architecture", false)) {
        throw Error(ErrorKind::unsupported,
                    "falcon without new_decoder_architecture: the rows of its multi-query form are "
                    "not known here; describe them with --routing FILE, see docs/routing-file.md");
    }
    HeadLayout heads;
    heads.query_heads = config.first_count({"num_attention_heads", "n_head"});
    heads.kv_heads = config.first_count({"num_kv_heads", "n_head_kv"});
    heads.head_dim = config.count(
        "head_dim", heads.query_heads == 0 ? 0 : read_hidden_size(config) / heads.query_heads);
    blueprint.heads = check_heads(heads);
    tie_head_by_default(blueprint);
    add_in_transformer_h(blueprint,
                         {.module = "self_attention.query_key_value",
                          .layout = group_by_kv_head(*blueprint.heads),
                          .columns = read_hidden_size(config),
                          .bias = read_bias(config, false, "bias")});
    if (config.flag("alibi", false)) {
        add_no_rotary(blueprint);
    } else {
        add_rotary(blueprint, config);
    }
}

void plan_falcon_layers(Blueprint& blueprint, const ConfigReader& config) {
    if (!config.flag("parallel_attn", true)) {
        throw Error(ErrorKind::unsupported,
                    "'parallel_attn' is false: such a Falcon does not run here");
    }
    const std::uint32_t norms = config.count("num_ln_in_parallel_attn", 2);
    if (norms != 1 && norms != 2) {
        throw Error(ErrorKind::malformed,
                    format("config key 'num_ln_in_parallel_attn' is {}, expected 1 or 2", norms));
    }
    use_layer_norm(blueprint, config, "layer_norm_epsilon");
    blueprint.context_length = config.count("max_position_embeddings", 2048);
    AttentionSpec attention = make_attention(blueprint);
    if (config.flag("alibi", false)) {
        // The scale of logits is also that of what they lose.
        attention.alibi_factor = 1.0 / std::sqrt(static_cast<double>(attention.heads.head_dim));
    }
    DenseSpec dense =
        make_plain_dense(read_size(config, "ffn_hidden_size", 4 * blueprint.hidden_size),
                         read_activation(config, "activation", Activation::gelu));
    dense.has_biases = config.flag("bias", false);
    LayerPlan like{
        .spec = {.feed_forward = dense, .is_parallel = true},
        .mixer = {.name = "self_attention", .renamed = {{role::output, "dense"}}},
        .feed_forward = {.name = "mlp",
                         .renamed = {{role::up, "dense_h_to_4h"}, {role::down, "dense_4h_to_h"}}},
        .mixer_norm = {"ln_attn"},
        .feed_forward_norm = {"ln_mlp"}};
    if (norms == 1) {
        like.mixer_norm = {"input_layernorm"};
        like.feed_forward_norm = {};
    }
    plan_softmax_body(blueprint,
                      {.full = attention, .sliding = attention},
                      like,
                      {.embedding = "word_embeddings", .final_norm = "ln_f"});
}

}  // namespace

namespace families {

Family falcon() {
    return {.name = "falcon",
            .model_types = {"falcon"},
            .evidence = verified,
            .read_layers = read_full_layers,
            .plan_attention = plan_falcon_attention,
            .plan_layers = plan_falcon_layers};
}

}  // namespace families
}  // namespace anamnesis::checkpoint
