// SPDX-License-Identifier: Apache-2.0
#include <cmath>

#include "anamnesis/checkpoint/blueprint.hpp"
#include "anamnesis/checkpoint/config_reader.hpp"

#include "attention_rules.hpp"
#include "family.hpp"
#include "family_parts.hpp"
#include "layer_plan.hpp"
#include "spec_parts.hpp"

namespace anamnesis::checkpoint {
namespace {

void plan_gemma_layers(Blueprint& blueprint, const ConfigReader& config) {
    blueprint.gain = Gain::offset;
    blueprint.embedding_scale = std::sqrt(static_cast<double>(blueprint.hidden_size));
    DenseSpec dense = read_dense(config, 24'576);
    // The first releases said "gelu" and meant its approximation.
    dense.activation = config.find_word("hidden_act") == "gelu"
                           ? Activation::gelu_tanh
                           : read_activation(config, "hidden_act", Activation::gelu_tanh);
    plan_softmax_body(
        blueprint, make_softmax_kinds(blueprint, config), {.spec = {.feed_forward = dense}});
}

}  // namespace

namespace families {

Family gemma() {
    return {.name = "gemma",
            .model_types = {"gemma"},
            .evidence = from_memory,
            .read_layers = read_full_layers,
            .plan_attention = plan_gemma_attention,
            .plan_layers = plan_gemma_layers,
            .defaults = {.context_length = 8192}};
}

}  // namespace families
}  // namespace anamnesis::checkpoint
