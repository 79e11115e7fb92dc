// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <cstdint>
#include <optional>
#include <utility>
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

std::vector<Layer> read_gemma2_layers(const ConfigReader& config) {
    if (auto listed = find_listed_layers(config, {"layer_types"})) {
        return *std::move(listed);
    }
    return make_layers(read_layer_count(config), [](std::uint32_t layer) {
        return Kinds{layer % 2 == 0 ? LayerKind::sliding : LayerKind::full};
    });
}

void plan_gemma2_layers(Blueprint& blueprint, const ConfigReader& config) {
    refuse_encoder(config);
    blueprint.gain = Gain::offset;
    blueprint.embedding_scale = std::sqrt(static_cast<double>(blueprint.hidden_size));
    blueprint.logit_softcap = read_softcap(config, "final_logit_softcapping", 30.0);
    SoftmaxKinds kinds = make_softmax_kinds(blueprint, config, 4096);
    const std::optional<double> softcap = read_softcap(config, "attn_logit_softcapping", 50.0);
    for (AttentionSpec* attention : {&kinds.full, &kinds.sliding}) {
        attention->softcap = softcap;
        // What the library fills in, whatever the heads' width.
        attention->logit_scale = attention->logit_scale.value_or(1.0 / std::sqrt(256.0));
    }
    plan_sandwich_body(blueprint, config, kinds);
}

}  // namespace

namespace families {

Family gemma2() {
    return {.name = "gemma2",
            .model_types = {"gemma2"},
            .evidence = verified,
            .read_layers = read_gemma2_layers,
            .plan_attention = plan_gemma_attention,
            .plan_layers = plan_gemma2_layers,
            .defaults = {.context_length = 8192}};
}

}  // namespace families
}  // namespace anamnesis::checkpoint
