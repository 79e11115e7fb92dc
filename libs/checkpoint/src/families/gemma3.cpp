// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <cstdint>
#include <utility>
#include <vector>

#include "anamnesis/base/json.hpp"
#include "anamnesis/checkpoint/blueprint.hpp"
#include "anamnesis/checkpoint/config_reader.hpp"
#include "anamnesis/checkpoint/model.hpp"

#include "attention_rules.hpp"
#include "family.hpp"
#include "family_parts.hpp"
#include "layer_kinds.hpp"
#include "layer_plan.hpp"
#include "rotary.hpp"
#include "spec_parts.hpp"

namespace anamnesis::checkpoint {
namespace {

std::vector<Layer> read_gemma3_layers(const ConfigReader& config) {
    if (auto listed = find_listed_layers(config, {"layer_types"})) {
        return *std::move(listed);
    }
    const std::uint32_t period =
        config.count("sliding_window_pattern", config.count("_sliding_window_pattern", 6));
    return make_layers(read_layer_count(config, 26), [=](std::uint32_t layer) {
        const bool is_full = period != 0 && (layer + 1) % period == 0;
        return Kinds{is_full ? LayerKind::full : LayerKind::sliding};
    });
}

// Wrapped configs of Gemma 3 leave out what the library fills in: here the values of the 4B text
// model would be a guess, so only the documented defaults of the class are used.
void plan_gemma3_attention(Blueprint& blueprint, const ConfigReader& config) {
    plan_gemma_heads(
        blueprint, config, {.query_heads = 8, .kv_heads = 4, .head_dim = 256, .hidden_size = 2304});
    add(blueprint, QkNorms{.kind = QkNorm::per_head_plus1});
    add_rotary(blueprint, config, {.theta = 1e6});
}

/// Positions of sliding layers: a base of their own, and no scaling that is not stated for them.
RotarySettings read_local_rotary(const ConfigReader& config, RotarySettings rotary) {
    rotary.theta = config.find_number("rope_local_base_freq").value_or(10'000.0);
    rotary.scaling = {};
    const Json* all = config.find("rope_parameters");
    const Json* local = all == nullptr ? nullptr : all->find("sliding_attention");
    if (local != nullptr) {
        rotary.scaling = *local;
        if (const Json* theta = local->find("rope_theta")) {
            rotary.theta = number_from(*theta, "rope_theta");
        }
    }
    return rotary;
}

void plan_gemma3_layers(Blueprint& blueprint, const ConfigReader& config) {
    refuse_encoder(config);
    blueprint.gain = Gain::offset;
    blueprint.embedding_scale = std::sqrt(static_cast<double>(blueprint.hidden_size));
    blueprint.logit_softcap = config.find_number("final_logit_softcapping");
    SoftmaxKinds kinds = make_softmax_kinds(blueprint, config, 4096);
    for (AttentionSpec* attention : {&kinds.full, &kinds.sliding}) {
        // What the library fills in, whatever the heads' width.
        attention->logit_scale = attention->logit_scale.value_or(1.0 / std::sqrt(256.0));
    }
    if (kinds.sliding.rotary) {
        kinds.sliding.rotary = read_local_rotary(config, *kinds.sliding.rotary);
    }
    plan_sandwich_body(blueprint, config, kinds);
}

}  // namespace

namespace families {

Family gemma3() {
    return {.name = "gemma3",
            .model_types = {"gemma3_text", "gemma3"},
            .evidence = verified,
            .read_layers = read_gemma3_layers,
            .plan_attention = plan_gemma3_attention,
            .plan_layers = plan_gemma3_layers,
            .defaults = {.context_length = 131'072}};
}

}  // namespace families
}  // namespace anamnesis::checkpoint
