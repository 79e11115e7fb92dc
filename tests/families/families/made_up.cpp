// SPDX-License-Identifier: Apache-2.0
// A family that nobody made, of known mixers under names of its own: all that the library needs to
// repair it, run it, train it and start it from random weights.
#include <cmath>
#include <cstdint>
#include <vector>

#include "anamnesis/base/index.hpp"
#include "anamnesis/checkpoint/blueprint.hpp"
#include "anamnesis/checkpoint/config_reader.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/checkpoint/tensor_roles.hpp"

#include "attention_rules.hpp"
#include "family.hpp"
#include "layer_kinds.hpp"
#include "layer_plan.hpp"
#include "rotary.hpp"
#include "spec_parts.hpp"

namespace anamnesis::checkpoint {
namespace {

/// Softmax in every `attends_every`th layer.
std::vector<Layer> read_made_up_layers(const ConfigReader& config) {
    const std::uint32_t every = read_size(config, "attends_every", 2);
    return make_layers(read_layer_count(config), [=](std::uint32_t layer) {
        return Kinds{(layer + 1) % every == 0 ? LayerKind::full : LayerKind::linear};
    });
}

void plan_made_up_attention(Blueprint& blueprint, const ConfigReader& config) {
    blueprint.heads = read_heads(config);
    add(blueprint,
        SeparateProjections{.module = "routing",
                            .query = "wq",
                            .key = "wk",
                            .value = "wv",
                            .heads = blueprint.heads,
                            .columns = read_hidden_size(config)});
    add(blueprint, QkNorms{.module = "routing", .query = "query_gain", .key = "key_gain"});
    add_rotary(blueprint, config, {.theta = 10'000.0});
}

LightningSpec read_memory(const Blueprint& blueprint, const ConfigReader& config) {
    const std::uint32_t heads = read_size(config, "memory_heads", 4);
    const std::uint32_t head_dim = blueprint.heads->head_dim;
    return {.heads = {.query_heads = heads, .kv_heads = heads, .head_dim = head_dim},
            .scale = 1.0 / std::sqrt(static_cast<double>(head_dim)),
            .qk_norm = Part::present,
            .output_norm = Part::present,
            .output_gate = Part::present};
}

void plan_made_up_layers(Blueprint& blueprint, const ConfigReader& config) {
    const AttentionSpec softmax = make_attention(blueprint);
    const LightningSpec memory = read_memory(blueprint, config);
    const DenseSpec dense = read_dense(config, 48);
    const Module feed{.name = "feed",
                      .renamed = {{role::gate, "w1"}, {role::up, "w3"}, {role::down, "w2"}}};
    plan_body(blueprint,
              [&](const Layer& layer) {
                  LayerPlan plan{.feed_forward = feed,
                                 .mixer_norm = {"gain_before_mixer"},
                                 .feed_forward_norm = {"gain_before_feed"}};
                  plan.spec.feed_forward = dense;
                  if (layer.is_softmax()) {
                      plan.spec.mixer = softmax;
                      plan.mixer = {.name = "routing", .renamed = {{role::output, "wo"}}};
                  } else {
                      plan.spec.mixer = memory;
                      plan.mixer = {.name = "memory",
                                    .renamed = {{role::query, "reader"},
                                                {role::key, "address"},
                                                {role::value, "content"},
                                                {role::output, "writer"},
                                                {role::output_gate, "valve"},
                                                {role::output_norm, "gain"}}};
                  }
                  return plan;
              },
              {.embedding = "tokens", .final_norm = "last_gain", .head = "predictor"});
}

}  // namespace

namespace families {

Family made_up() {
    return {.name = "made_up",
            .model_types = {"made_up"},
            .evidence = verified,
            .read_layers = read_made_up_layers,
            .plan_attention = plan_made_up_attention,
            .plan_layers = plan_made_up_layers};
}

}  // namespace families
}  // namespace anamnesis::checkpoint
