// SPDX-License-Identifier: Apache-2.0
#include "lfm_parts.hpp"

#include <cstdint>
#include <functional>
#include <variant>

#include "anamnesis/checkpoint/blueprint.hpp"
#include "anamnesis/checkpoint/config_reader.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/checkpoint/tensor_roles.hpp"

#include "family_parts.hpp"
#include "layer_plan.hpp"
#include "layer_tensors.hpp"
#include "spec_parts.hpp"

namespace anamnesis::checkpoint {

void read_lfm_head(Blueprint& blueprint, const ConfigReader& config) {
    if (config.has("tie_embedding")) {
        blueprint.is_head_tied = config.flag("tie_embedding", true);
    }
    tie_head_by_default(blueprint);
}

ShortConvolutionSpec read_short_convolution(const ConfigReader& config,
                                            std::uint32_t default_taps) {
    return {.taps = read_size(config, "conv_L_cache", default_taps),
            .has_bias = config.flag("conv_bias", false)};
}

LayerPlan make_lfm_layer(const MixerSpec& mixer, const FeedForwardSpec& feed_forward) {
    const bool is_convolution = std::holds_alternative<ShortConvolutionSpec>(mixer);
    LayerPlan plan{.spec = {.mixer = mixer, .feed_forward = feed_forward},
                   .mixer = {.name = is_convolution ? "conv" : "self_attn"},
                   .feed_forward = {.name = "feed_forward"},
                   .mixer_norm = {"operator_norm"},
                   .feed_forward_norm = {"ffn_norm"},
                   .mixer_post_norm = {"post_operator_norm"},
                   .feed_forward_post_norm = {"post_ffn_norm"}};
    if (std::holds_alternative<DenseSpec>(feed_forward)) {
        plan.feed_forward.renamed = {{role::gate, "w1"}, {role::up, "w3"}, {role::down, "w2"}};
    } else {
        plan.feed_forward.renamed = {{role::router_correction, "expert_bias"}};
    }
    return plan;
}

void plan_lfm_body(Blueprint& blueprint,
                   const ConfigReader& config,
                   const std::function<LayerPlan(const Layer&)>& plan_layer) {
    blueprint.norm_eps = config.find_number("norm_eps").value_or(1e-5);
    blueprint.context_length = config.count("max_position_embeddings", 128'000);
    plan_body(blueprint, plan_layer, {.final_norm = "embedding_norm"});
}

void plan_lfm2_body(Blueprint& blueprint,
                    const ConfigReader& config,
                    const std::function<FeedForwardSpec(const Layer&)>& plan_feed_forward) {
    const ShortConvolutionSpec convolution = read_short_convolution(config, 3);
    const AttentionSpec softmax = make_attention(blueprint);
    plan_lfm_body(blueprint, config, [&](const Layer& layer) {
        if (!is_only(layer, LayerKind::full)) {
            return make_lfm_layer(convolution, plan_feed_forward(layer));
        }
        LayerPlan plan = make_lfm_layer(softmax, plan_feed_forward(layer));
        plan.mixer.renamed = {{role::output, "out_proj"}};
        return plan;
    });
}

}  // namespace anamnesis::checkpoint
