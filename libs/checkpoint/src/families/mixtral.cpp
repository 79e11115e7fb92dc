// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/checkpoint/blueprint.hpp"
#include "anamnesis/checkpoint/config_reader.hpp"

#include "attention_rules.hpp"
#include "family.hpp"
#include "family_parts.hpp"
#include "layer_plan.hpp"
#include "spec_parts.hpp"

namespace anamnesis::checkpoint {
namespace {

void plan_mixtral_layers(Blueprint& blueprint, const ConfigReader& config) {
    MixtureSpec mixture{.experts = read_expert_count(config, 8),
                        .expert = read_dense(config, 14'336),
                        .names = {.gate = "w1", .up = "w3", .down = "w2"}};
    mixture.experts_per_token = read_experts_per_token(config, mixture.experts, 2);
    SoftmaxKinds kinds = make_softmax_kinds(blueprint, config);
    set_default_theta(kinds, blueprint, 1e6);
    plan_softmax_body(blueprint,
                      kinds,
                      {.spec = {.feed_forward = mixture},
                       .feed_forward = {.name = "block_sparse_moe", .other_names = {"mlp"}}});
}

}  // namespace

namespace families {

Family mixtral() {
    return {.name = "mixtral",
            .model_types = {"mixtral"},
            .evidence = from_memory,
            .read_layers = read_layers_by_window,
            .plan_attention = plan_llama_attention,
            .plan_layers = plan_mixtral_layers,
            .nameless = NamelessForm{.has_gains = false},
            .defaults = {.norm_eps = 1e-5, .context_length = 131'072}};
}

}  // namespace families
}  // namespace anamnesis::checkpoint
