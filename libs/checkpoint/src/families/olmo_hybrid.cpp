// SPDX-License-Identifier: Apache-2.0
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

std::vector<Layer> read_olmo_layers(const ConfigReader& config) {
    if (auto listed = find_listed_layers(config, {"layer_types"})) {
        return *std::move(listed);
    }
    const std::uint32_t count = read_layer_count(config);
    return make_layers(count, [=](std::uint32_t layer) {
        // The library makes the last layer full where the rule gives none.
        const bool is_full = layer % 4 == 3 || (count < 4 && layer + 1 == count);
        return Kinds{is_full ? LayerKind::full : LayerKind::linear};
    });
}

/// Null theta in the object means no rotary encoding; no object means the library's default.
void plan_olmo_attention(Blueprint& blueprint, const ConfigReader& config) {
    plan_separate(blueprint, config, read_bias(config));
    add(blueprint, QkNorms{.kind = QkNorm::full_width});
    const Json* parameters = config.find("rope_parameters");
    const Json* theta = parameters == nullptr ? nullptr : parameters->find("rope_theta");
    if (theta != nullptr && theta->is_null()) {
        add_no_rotary(blueprint);
    } else {
        add_rotary(blueprint, config, {.theta = 10'000.0});
    }
    blueprint.softmax.mixer_only = {in_layer("linear_attn.A_log"),
                                    in_layer("linear_attn.q_proj.weight")};
}

/// Linear layers with norms before, softmax layers with norms after.
void plan_olmo_layers(Blueprint& blueprint, const ConfigReader& config) {
    expect_silu_in_mixers(config);
    const AttentionSpec softmax = make_attention(blueprint);
    GatedDeltaSpec delta = read_gated_delta(config, DeltaProjections::separate);
    delta.beta_range = config.flag("linear_allow_neg_eigval", true) ? 2.0 : 1.0;
    delta.norm_eps = 1e-5;
    const DenseSpec dense = read_dense(config, 11'008);
    plan_body(blueprint, [&](const Layer& layer) {
        if (is_only(layer, LayerKind::full)) {
            return LayerPlan{.spec = {.mixer = softmax,
                                      .feed_forward = dense,
                                      .mixer_residual = {.norms = NormPlacement::after},
                                      .feed_forward_residual = {.norms = NormPlacement::after}},
                             .mixer_norm = {"feedforward_layer_norm", "post_attention_layernorm"},
                             .feed_forward_norm = {"post_feedforward_layernorm"}};
        }
        return LayerPlan{
            .spec = {.mixer = delta, .feed_forward = dense},
            .mixer = {.name = "linear_attn"},
            .mixer_norm = {"attention_layer_norm", "input_layernorm"},
            .feed_forward_norm = {"feedforward_layer_norm", "post_attention_layernorm"}};
    });
}

}  // namespace

namespace families {

Family olmo_hybrid() {
    return {.name = "olmo_hybrid",
            .model_types = {"olmo_hybrid"},
            .evidence = verified,
            .read_layers = read_olmo_layers,
            .plan_attention = plan_olmo_attention,
            .plan_layers = plan_olmo_layers,
            .defaults = {.context_length = 65'536}};
}

}  // namespace families
}  // namespace anamnesis::checkpoint
