// SPDX-License-Identifier: Apache-2.0
#include <cstdint>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/blueprint.hpp"
#include "anamnesis/checkpoint/config_reader.hpp"
#include "anamnesis/checkpoint/model.hpp"

#include "attention_rules.hpp"
#include "family.hpp"
#include "family_parts.hpp"
#include "layer_kinds.hpp"
#include "layer_plan.hpp"
#include "mamba_parts.hpp"
#include "rotary.hpp"
#include "spec_parts.hpp"

namespace anamnesis::checkpoint {
namespace {

std::vector<Layer> read_bamba_layers(const ConfigReader& config) {
    auto layers = make_uniform_layers(read_layer_count(config), LayerKind::linear);
    for (const std::uint32_t layer :
         config.find_counts("attn_layer_indices").value_or(std::vector<std::uint32_t>{})) {
        if (layer >= layers.size()) {
            throw Error(ErrorKind::malformed,
                        format("config key 'attn_layer_indices' names layer {}, the last is {}",
                               layer,
                               layers.size() - 1));
        }
        layers[layer].kinds = {LayerKind::full};
    }
    return layers;
}

void plan_bamba_attention(Blueprint& blueprint, const ConfigReader& config) {
    plan_separate(blueprint, config, read_bias(config));
    add_rotary(blueprint, config, {.partial_factor = 0.5});
    blueprint.softmax.mixer_only = {in_layer("mamba.A_log"), in_layer("mamba.in_proj.weight")};
}

void plan_bamba_layers(Blueprint& blueprint, const ConfigReader& config) {
    expect_silu_in_mixers(config);
    blueprint.norm_eps = config.find_number("rms_norm_eps").value_or(1e-5);
    const AttentionSpec attention = make_attention(blueprint);
    const DenseSpec dense = read_dense(config, 14'336);
    plan_body(blueprint,
              [&](const Layer& layer) {
                  LayerPlan plan{.spec = {.mixer = attention, .feed_forward = dense},
                                 .feed_forward = {.name = "feed_forward"},
                                 .feed_forward_norm = {"pre_ff_layernorm"}};
                  if (!is_only(layer, LayerKind::full)) {
                      plan.spec.mixer = read_mamba2(config, blueprint);
                      plan.mixer = {.name = "mamba"};
                  }
                  return plan;
              },
              {.final_norm = "final_layernorm"});
}

}  // namespace

namespace families {

Family bamba() {
    return {.name = "bamba",
            .model_types = {"bamba"},
            .evidence = verified,
            .read_layers = read_bamba_layers,
            .plan_attention = plan_bamba_attention,
            .plan_layers = plan_bamba_layers,
            .defaults = {.context_length = 262'144}};
}

}  // namespace families
}  // namespace anamnesis::checkpoint
