// SPDX-License-Identifier: Apache-2.0
#include <vector>

#include "anamnesis/checkpoint/blueprint.hpp"
#include "anamnesis/checkpoint/config_reader.hpp"
#include "anamnesis/checkpoint/model.hpp"

#include "attention_rules.hpp"
#include "family.hpp"
#include "family_parts.hpp"
#include "latent_parts.hpp"
#include "layer_kinds.hpp"
#include "spec_parts.hpp"

namespace anamnesis::checkpoint {
namespace {

std::vector<Layer> read_latent_layers(const ConfigReader& config) {
    return make_uniform_layers(read_layer_count(config), LayerKind::mla);
}

void plan_deepseek_v3_layers(Blueprint& blueprint, const ConfigReader& config) {
    MixtureSpec experts =
        read_latent_mixture(config, {.experts = 256, .experts_per_token = 8, .width = 2048});
    experts.router =
        read_corrected_router(config, experts.experts, {.groups = 8, .kept_groups = 4});
    experts.router.scale = config.find_number("routed_scaling_factor").value_or(2.5);
    plan_deepseek_body(
        blueprint, config, {.experts = experts, .default_width = 18'432, .default_dense = 3});
}

}  // namespace

namespace families {

Family deepseek_v3() {
    return {.name = "deepseek_v3",
            .model_types = {"deepseek_v3"},
            .evidence = verified,
            .read_layers = read_latent_layers,
            .plan_attention = plan_deepseek_attention,
            .plan_layers = plan_deepseek_v3_layers,
            .defaults = {.context_length = 4096}};
}

}  // namespace families
}  // namespace anamnesis::checkpoint
