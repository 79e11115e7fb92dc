// SPDX-License-Identifier: Apache-2.0
#include <utility>
#include <vector>

#include "anamnesis/checkpoint/blueprint.hpp"
#include "anamnesis/checkpoint/config_reader.hpp"
#include "anamnesis/checkpoint/model.hpp"

#include "attention_rules.hpp"
#include "family.hpp"
#include "family_parts.hpp"
#include "layer_kinds.hpp"

namespace anamnesis::checkpoint {
namespace {

/// Listed; or a window; a config without the key has the library's window of 4096.
std::vector<Layer> read_mistral_layers(const ConfigReader& config) {
    if (auto listed = find_listed_layers(config, {"layer_types"})) {
        return *std::move(listed);
    }
    return make_uniform_layers(
        read_layer_count(config),
        config.is_null("sliding_window") ? LayerKind::full : LayerKind::sliding);
}

}  // namespace

namespace families {

Family mistral() {
    return {.name = "mistral",
            .model_types = {"mistral"},
            .evidence = verified,
            .read_layers = read_mistral_layers,
            .plan_attention = plan_llama_attention,
            .plan_layers = plan_softmax_layers,
            .nameless = NamelessForm{.has_gains = false},
            .defaults = {.context_length = 131'072}};
}

}  // namespace families
}  // namespace anamnesis::checkpoint
