// SPDX-License-Identifier: Apache-2.0
#include <string>
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

bool has_experts(const ConfigReader& config) {
    return config.find_word("model_type").value_or("").find("_moe") != std::string::npos;
}

std::vector<Layer> read_qwen3_5_layers(const ConfigReader& config) {
    return read_layers_by_interval(config, has_experts(config) ? 40 : 32);
}

void plan_qwen3_5_attention(Blueprint& blueprint, const ConfigReader& config) {
    plan_gated_attention(blueprint,
                         config,
                         {.query_heads = 16,
                          .kv_heads = has_experts(config) ? 2U : 4U,
                          .head_dim = 256,
                          .hidden_size = has_experts(config) ? 2048U : 4096U});
    // A wrapper with a vision tower keeps the text model beside it.
    if (config.root().find("text_config") != nullptr) {
        blueprint.prefix = "model.language_model.";
    }
}

FeedForwardSpec read_feed_forward(const ConfigReader& config) {
    if (!has_experts(config)) {
        return read_dense(config, 12'288);
    }
    return read_qwen_mixture(
        config, {.experts = 256, .experts_per_token = 8, .width = 512, .shared_width = 512});
}

void plan_qwen3_5_layers(Blueprint& blueprint, const ConfigReader& config) {
    expect_silu_in_mixers(config);
    blueprint.gain = Gain::offset;
    AttentionSpec softmax = make_attention(blueprint);
    softmax.gate = OutputGate::interleaved;
    const GatedDeltaSpec delta = read_gated_delta(config, DeltaProjections::plain);
    const FeedForwardSpec feed_forward = read_feed_forward(config);
    plan_body(blueprint, [&](const Layer& layer) {
        return is_only(layer, LayerKind::full)
                   ? LayerPlan{.spec = {.mixer = softmax, .feed_forward = feed_forward}}
                   : LayerPlan{.spec = {.mixer = delta, .feed_forward = feed_forward},
                               .mixer = {.name = "linear_attn"}};
    });
}

}  // namespace

namespace families {

Family qwen3_5() {
    return {
        .name = "qwen3_5",
        .model_types = {"qwen3_5", "qwen3_5_text", "qwen3_5_moe", "qwen3_5_moe_text"},
        .evidence = verified,
        .read_layers = read_qwen3_5_layers,
        .plan_attention = plan_qwen3_5_attention,
        .plan_layers = plan_qwen3_5_layers,
        .nameless = NamelessForm{.query_parts = 2, .signs = {"linear_attn.in_proj_qkv.weight"}}};
}

}  // namespace families
}  // namespace anamnesis::checkpoint
