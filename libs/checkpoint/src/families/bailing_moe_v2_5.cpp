// SPDX-License-Identifier: Apache-2.0
#include <vector>

#include "anamnesis/checkpoint/blueprint.hpp"
#include "anamnesis/checkpoint/config_reader.hpp"
#include "anamnesis/checkpoint/model.hpp"

#include "attention_rules.hpp"
#include "family.hpp"
#include "family_parts.hpp"

namespace anamnesis::checkpoint {
namespace {

std::vector<Layer> read_bailing_v2_5_layers(const ConfigReader& config) {
    return read_last_of_groups(config, LayerKind::mla, true);
}

}  // namespace

namespace families {

Family bailing_moe_v2_5() {
    return {.name = "bailing_moe_v2_5",
            .model_types = {"bailing_moe_v2_5"},
            .evidence = from_memory,
            .read_layers = read_bailing_v2_5_layers,
            .plan_attention = plan_bailing_latent_attention,
            .classes = {"BailingMoeV2_5ForCausalLM"}};
}

}  // namespace families
}  // namespace anamnesis::checkpoint
