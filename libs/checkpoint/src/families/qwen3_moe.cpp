// SPDX-License-Identifier: Apache-2.0
#include <vector>

#include "anamnesis/checkpoint/blueprint.hpp"
#include "anamnesis/checkpoint/config_reader.hpp"
#include "anamnesis/checkpoint/model.hpp"

#include "attention_rules.hpp"
#include "family.hpp"
#include "family_parts.hpp"
#include "layer_kinds.hpp"
#include "layer_plan.hpp"
#include "spec_parts.hpp"

namespace anamnesis::checkpoint {
namespace {

/// A window is one of every layer.
std::vector<Layer> read_qwen3_moe_layers(const ConfigReader& config) {
    const bool is_windowed =
        config.flag("use_sliding_window", false) && !config.is_null("sliding_window");
    return make_uniform_layers(read_layer_count(config),
                               is_windowed ? LayerKind::sliding : LayerKind::full);
}

void plan_qwen3_moe_attention(Blueprint& blueprint, const ConfigReader& config) {
    plan_normed_attention(blueprint, config, {});
}

void plan_qwen3_moe_layers(Blueprint& blueprint, const ConfigReader& config) {
    plan_qwen_mixtures(blueprint,
                       config,
                       {.experts = 128,
                        .experts_per_token = 8,
                        .width = 768,
                        .dense_width = 6144,
                        .is_renormalised = config.flag("norm_topk_prob", false)});
}

}  // namespace

namespace families {

Family qwen3_moe() {
    return {.name = "qwen3_moe",
            .model_types = {"qwen3_moe"},
            .evidence = from_memory,
            .read_layers = read_qwen3_moe_layers,
            .plan_attention = plan_qwen3_moe_attention,
            .plan_layers = plan_qwen3_moe_layers,
            .nameless = NamelessForm{.signs = {"self_attn.q_norm.weight", "mlp.gate.weight"},
                                     .only_parts = qwen3_parts()}};
}

}  // namespace families
}  // namespace anamnesis::checkpoint
