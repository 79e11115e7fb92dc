// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "anamnesis/runtime/torch.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "anamnesis/checkpoint/mixers/gated_delta.hpp"

#include "layer_call.hpp"
#include "layer_weights.hpp"
#include "linear.hpp"
#include "norm.hpp"

namespace anamnesis::runtime {

/// Gated delta rule after short convolutions. Projections come as one matrix, or as several whose
/// outputs are joined.
struct GatedDeltaLayer {
    checkpoint::GatedDeltaSpec spec{};
    std::vector<Linear> in_proj{};  ///< grouped: qkvz, ba; otherwise q|k|v (one or three), z, b, a
    std::vector<at::Tensor> kernels{};  ///< [channels, 1, W]; together all q, all k, all v
    at::Tensor log_rate{};              ///< A_log [value_heads]
    at::Tensor dt_bias{};               ///< [value_heads]
    RmsNorm norm{};
    Linear out_proj{};
};

GatedDeltaLayer load_mixer(const checkpoint::GatedDeltaSpec& spec, const LayerWeights& weights);

/// Mixes tokens.
/// Shapes: x [B, T, d] -> [B, T, d]. `states` is empty (a whole text at once) or has one state
/// for each sequence, which is read and moved on.
at::Tensor mix(const GatedDeltaLayer& layer,
               const at::Tensor& x,
               const Call& call,
               std::span<LayerState* const> states);

/// What is kept of a sequence before its first token.
LayerState make_state(const GatedDeltaLayer& layer, const CacheOptions& options);

/// Values that a token leaves for the backward pass: as lightning attention, and what
/// the correction needs.
std::uint64_t count_kept_values(const GatedDeltaLayer& layer);

}  // namespace anamnesis::runtime
