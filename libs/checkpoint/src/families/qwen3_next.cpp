// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstdint>
#include <vector>

#include "anamnesis/checkpoint/blueprint.hpp"
#include "anamnesis/checkpoint/config_reader.hpp"
#include "anamnesis/checkpoint/model.hpp"

#include "attention_rules.hpp"
#include "family.hpp"
#include "family_parts.hpp"
#include "layer_plan.hpp"
#include "spec_parts.hpp"

namespace anamnesis::checkpoint {
namespace {

std::vector<Layer> read_qwen3_next_layers(const ConfigReader& config) {
    return read_layers_by_interval(config, 48);
}

void plan_qwen3_next_attention(Blueprint& blueprint, const ConfigReader& config) {
    plan_gated_attention(blueprint,
                         config,
                         {.query_heads = 16, .kv_heads = 2, .head_dim = 256, .hidden_size = 2048});
}

FeedForwardSpec read_feed_forward(const ConfigReader& config, std::uint32_t layer) {
    return read_qwen_feed_forward(config,
                                  layer,
                                  {.experts = 512,
                                   .experts_per_token = 10,
                                   .width = 512,
                                   .shared_width = 512,
                                   .dense_width = 5632,
                                   .is_renormalised = config.flag("norm_topk_prob", true)});
}

void plan_qwen3_next_layers(Blueprint& blueprint, const ConfigReader& config) {
    expect_silu_in_mixers(config);
    blueprint.gain = Gain::offset;
    AttentionSpec softmax = make_attention(blueprint);
    softmax.gate = OutputGate::interleaved;
    const GatedDeltaSpec delta = read_gated_delta(config, DeltaProjections::grouped);
    plan_body(blueprint, [&](const Layer& layer) {
        const FeedForwardSpec feed_forward = read_feed_forward(config, layer.index.value);
        return is_only(layer, LayerKind::full)
                   ? LayerPlan{.spec = {.mixer = softmax, .feed_forward = feed_forward}}
                   : LayerPlan{.spec = {.mixer = delta, .feed_forward = feed_forward},
                               .mixer = {.name = "linear_attn"}};
    });
}

}  // namespace

namespace families {

Family qwen3_next() {
    return {
        .name = "qwen3_next",
        .model_types = {"qwen3_next"},
        .evidence = verified,
        .read_layers = read_qwen3_next_layers,
        .plan_attention = plan_qwen3_next_attention,
        .plan_layers = plan_qwen3_next_layers,
        .nameless = NamelessForm{.query_parts = 2, .signs = {"linear_attn.in_proj_qkvz.weight"}}};
}

}  // namespace families
}  // namespace anamnesis::checkpoint
