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

void plan_phi_attention(Blueprint& blueprint, const ConfigReader& config) {
    plan_separate(blueprint, config, Presence::required);
    if (config.flag("qk_layernorm", false)) {
        add(blueprint, QkNorms{.query = "q_layernorm", .key = "k_layernorm"});
    }
    add_rotary(blueprint, config, {.partial_factor = 0.5});
}

void plan_phi_layers(Blueprint& blueprint, const ConfigReader& config) {
    if (config.flag("qk_layernorm", false)) {
        throw Error(ErrorKind::unsupported,
                    "'qk_layernorm' is set: queries and keys with a LayerNorm do not run here");
    }
    use_layer_norm(blueprint, config, "layer_norm_eps");
    blueprint.context_length = config.count("max_position_embeddings", 2048);
    const DenseSpec dense =
        make_plain_dense(read_size(config, "intermediate_size", 8192),
                         read_activation(config, "hidden_act", Activation::gelu_tanh));
    plan_softmax_body(
        blueprint,
        make_softmax_kinds(blueprint, config),
        {.spec = {.feed_forward = dense, .is_parallel = true},
         .mixer = {.name = "self_attn", .renamed = {{role::output, "dense"}}},
         .feed_forward = {.name = "mlp", .renamed = {{role::up, "fc1"}, {role::down, "fc2"}}},
         .feed_forward_norm = {}},
        {.final_norm = "final_layernorm", .has_head_bias = true});
}

}  // namespace

namespace families {

Family phi() {
    return {.name = "phi",
            .model_types = {"phi"},
            .evidence = verified,
            .read_layers = read_full_layers,
            .plan_attention = plan_phi_attention,
            .plan_layers = plan_phi_layers};
}

}  // namespace families
}  // namespace anamnesis::checkpoint
