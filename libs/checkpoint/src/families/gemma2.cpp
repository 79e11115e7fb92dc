// SPDX-License-Identifier: Apache-2.0
#include <cstdint>
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

std::vector<Layer> read_gemma2_layers(const ConfigReader& config) {
    if (auto listed = find_listed_layers(config, {"layer_types"})) {
        return *std::move(listed);
    }
    return make_layers(read_layer_count(config), [](std::uint32_t layer) {
        return Kinds{layer % 2 == 0 ? LayerKind::sliding : LayerKind::full};
    });
}

}  // namespace

namespace families {

Family gemma2() {
    return {.name = "gemma2",
            .model_types = {"gemma2"},
            .evidence = from_memory,
            .read_layers = read_gemma2_layers,
            .plan_attention = plan_gemma_attention};
}

}  // namespace families
}  // namespace anamnesis::checkpoint
