// SPDX-License-Identifier: Apache-2.0
#include <cstdint>
#include <optional>
#include <string_view>
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
#include "lfm_parts.hpp"
#include "rotary.hpp"
#include "spec_parts.hpp"

namespace anamnesis::checkpoint {
namespace {

constexpr HeadDefaults defaults{
    .query_heads = 16, .kv_heads = 4, .head_dim = 128, .hidden_size = 2048};

std::vector<Layer> read_lfm3_layers(const ConfigReader& config) {
    if (auto listed = find_listed_layers(config, {"layer_types"})) {
        return *std::move(listed);
    }
    return make_layers(read_layer_count(config, 24), [](std::uint32_t layer) {
        return Kinds{layer % 4 == 2                 ? LayerKind::full
                     : layer % 4 == 0 && layer != 0 ? LayerKind::sliding
                                                    : LayerKind::conv};
    });
}

void plan_lfm3_attention(Blueprint& blueprint, const ConfigReader& config) {
    plan_separate(blueprint, config, read_bias(config), defaults);
    add(blueprint, QkNorms{});
    add_rotary(blueprint, config, {.partial_factor = 0.5, .theta = 1e6});
    // A share of the pairs turns, but pairs are those of the whole head.
    blueprint.rotary.dimensions = blueprint.heads->head_dim;
    read_lfm_head(blueprint, config);
    blueprint.softmax.mixer_only = {in_layer("conv.conv.weight"), in_layer("conv.in_proj.weight")};
}

/// The rotary encoding of the layers of one kind: their own object in `rope_parameters`, or what
/// the library fills in.
RotarySettings read_rotary(const Blueprint& blueprint,
                           const ConfigReader& config,
                           std::string_view kind,
                           const RotarySettings& filled) {
    RotarySettings settings = filled;
    settings.dimensions = blueprint.heads->head_dim;
    settings.context_length = blueprint.context_length;
    const Json* all = config.find("rope_parameters");
    const Json* own = all == nullptr ? nullptr : all->find(kind);
    if (own == nullptr || own->is_null()) {
        return settings;
    }
    if (const Json* theta = own->find("rope_theta"); theta != nullptr && !theta->is_null()) {
        settings.theta = number_from(*theta, "rope_theta");
    }
    settings.scaling = *own;
    return settings;
}

Json make_proportional_scaling() {
    Json scaling = Json::object();
    scaling.set("rope_type", "proportional");
    scaling.set("partial_rotary_factor", 0.5);
    return scaling;
}

void plan_lfm3_layers(Blueprint& blueprint, const ConfigReader& config) {
    AttentionSpec full = make_attention(blueprint);
    full.gate = config.flag("use_attention_gate", true) ? OutputGate::per_head : OutputGate::none;
    full.rotary = read_rotary(blueprint,
                              config,
                              "full_attention",
                              {.theta = 1e6, .scaling = make_proportional_scaling()});
    AttentionSpec sliding = full;
    sliding.window = read_size(config, "sliding_window", 256);
    sliding.rotary = read_rotary(blueprint, config, "sliding_attention", {.theta = 10'000.0});
    const ShortConvolutionSpec convolution = read_short_convolution(config, 7);
    const DenseSpec dense{.width = read_size(config, "intermediate_size", 7680)};
    const NormPlacement norms =
        config.flag("use_sandwich_norm", true) ? NormPlacement::both : NormPlacement::before;
    plan_lfm_body(blueprint, config, [&](const Layer& layer) {
        LayerPlan plan = is_only(layer, LayerKind::full)      ? make_lfm_layer(full, dense)
                         : is_only(layer, LayerKind::sliding) ? make_lfm_layer(sliding, dense)
                                                              : make_lfm_layer(convolution, dense);
        plan.spec.mixer_residual.norms = norms;
        plan.spec.feed_forward_residual.norms = norms;
        return plan;
    });
}

}  // namespace

namespace families {

Family lfm3() {
    return {.name = "lfm3",
            .model_types = {"lfm3"},
            .evidence = verified,
            .read_layers = read_lfm3_layers,
            .plan_attention = plan_lfm3_attention,
            .plan_layers = plan_lfm3_layers};
}

}  // namespace families
}  // namespace anamnesis::checkpoint
