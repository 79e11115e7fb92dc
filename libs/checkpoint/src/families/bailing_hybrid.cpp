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

std::vector<Layer> read_bailing_hybrid_layers(const ConfigReader& config) {
    if (auto listed = find_listed_layers(config, {"layer_types"})) {
        return with_full_as(*std::move(listed), LayerKind::mla);
    }
    return read_last_of_groups(config, LayerKind::mla, false);
}

}  // namespace

namespace families {

Family bailing_hybrid() {
    return {.name = "bailing_hybrid",
            .model_types = {"bailing_hybrid"},
            .evidence = verified,
            .read_layers = read_bailing_hybrid_layers,
            .plan_attention = plan_bailing_latent_attention};
}

}  // namespace families
}  // namespace anamnesis::checkpoint
