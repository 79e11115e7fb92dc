// SPDX-License-Identifier: Apache-2.0
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

std::vector<Layer> read_latent_layers(const ConfigReader& config) {
    return make_uniform_layers(read_layer_count(config), LayerKind::mla);
}

}  // namespace

namespace families {

Family deepseek_v3() {
    return {.name = "deepseek_v3",
            .model_types = {"deepseek_v3"},
            .evidence = verified,
            .read_layers = read_latent_layers,
            .plan_attention = plan_deepseek_attention};
}

}  // namespace families
}  // namespace anamnesis::checkpoint
