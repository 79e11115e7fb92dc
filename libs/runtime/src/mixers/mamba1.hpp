// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "anamnesis/runtime/torch.hpp"

#include <cstdint>
#include <span>

#include "anamnesis/checkpoint/mixers/mamba1.hpp"

#include "layer_call.hpp"
#include "layer_weights.hpp"
#include "linear.hpp"
#include "norm.hpp"

namespace anamnesis::runtime {

/// Mamba-1: a selective scan after a short convolution.
struct Mamba1Layer {
    checkpoint::Mamba1Spec spec{};
    Linear in_proj{};          ///< x, z
    at::Tensor kernel{};       ///< [channels, 1, W]
    at::Tensor kernel_bias{};  ///< [channels], or undefined
    Linear x_proj{};           ///< dt, B, C
    Linear dt_proj{};
    at::Tensor log_rate{};  ///< A_log [channels, states]
    at::Tensor skip{};      ///< D [channels]
    RmsNorm dt_norm{}, b_norm{}, c_norm{};
    Linear out_proj{};
};

Mamba1Layer load_mixer(const checkpoint::Mamba1Spec& spec, const LayerWeights& weights);

/// Mixes tokens.
/// Shapes: x [B, T, d] -> [B, T, d]. `states` is empty (a whole text at once) or has one state
/// for each sequence, which is read and moved on.
at::Tensor mix(const Mamba1Layer& layer,
               const at::Tensor& x,
               const Call& call,
               std::span<LayerState* const> states);

/// What is kept of a sequence before its first token.
LayerState make_state(const Mamba1Layer& layer, const CacheOptions& options);

/// Values that a token leaves for the backward pass.
std::uint64_t count_kept_values(const Mamba1Layer& layer);

}  // namespace anamnesis::runtime
