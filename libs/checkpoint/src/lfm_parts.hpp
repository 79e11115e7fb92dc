// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>

#include "anamnesis/checkpoint/blueprint.hpp"
#include "anamnesis/checkpoint/config_reader.hpp"
#include "anamnesis/checkpoint/model.hpp"

#include "layer_plan.hpp"

/// What LFM2, LFM2-MoE and LFM3 have in common.
namespace anamnesis::checkpoint {

/// `tie_word_embeddings` or `tie_embedding`; tied by default.
void read_lfm_head(Blueprint& blueprint, const ConfigReader& config);

/// `conv_L_cache` taps; biased where `conv_bias` says so.
ShortConvolutionSpec read_short_convolution(const ConfigReader& config, std::uint32_t default_taps);

/// A layer under the names of these families: w1, w3 and w2 of a feed-forward, `operator_norm` and
/// `ffn_norm`, and the mixer in `conv` or `self_attn`.
LayerPlan make_lfm_layer(const MixerSpec& mixer, const FeedForwardSpec& feed_forward);

/// Lists the body, whose final norm is `embedding_norm`, with eps `norm_eps`.
void plan_lfm_body(Blueprint& blueprint,
                   const ConfigReader& config,
                   const std::function<LayerPlan(const Layer&)>& plan_layer);

/// Convolutions, and softmax attention with `out_proj`; `plan_feed_forward` by layer (LFM2,
/// LFM2-MoE).
void plan_lfm2_body(Blueprint& blueprint,
                    const ConfigReader& config,
                    const std::function<FeedForwardSpec(const Layer&)>& plan_feed_forward);

}  // namespace anamnesis::checkpoint
