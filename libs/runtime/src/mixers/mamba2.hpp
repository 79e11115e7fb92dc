// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "anamnesis/runtime/torch.hpp"

#include <cstdint>
#include <span>

#include "anamnesis/checkpoint/mixers/mamba2.hpp"

#include "layer_call.hpp"
#include "layer_weights.hpp"
#include "linear.hpp"
#include "norm.hpp"

namespace anamnesis::runtime {

/// Mamba-2: a state space after a short convolution.
struct Mamba2Layer {
    checkpoint::Mamba2Spec spec{};
    Linear in_proj{};          ///< z, x, B, C, dt
    at::Tensor row_scales{};   ///< [rows of in_proj], or undefined
    at::Tensor kernel{};       ///< [channels, 1, W] of x, B, C
    at::Tensor kernel_bias{};  ///< [channels], or undefined
    at::Tensor dt_bias{};      ///< [heads]
    at::Tensor log_rate{};     ///< A_log [heads]
    at::Tensor skip{};         ///< D [heads]
    RmsNorm norm{};            ///< over the channels of each group; or undefined
    Linear out_proj{};
};

Mamba2Layer load_mixer(const checkpoint::Mamba2Spec& spec, const LayerWeights& weights);

/// Mixes tokens.
/// Shapes: x [B, T, d] -> [B, T, d]. `states` is empty (a whole text at once) or has one state
/// for each sequence, which is read and moved on.
at::Tensor mix(const Mamba2Layer& layer,
               const at::Tensor& x,
               const Call& call,
               std::span<LayerState* const> states);

/// What lies between the projections: one token of each sequence in its step form where that is
/// possible (`can_step_mamba2`), more in chunks.
/// Shapes: projected [B, T, rows of in_proj] -> [B, T or wanted, heads * head_dim]; `states` as in
/// `mix`.
at::Tensor mix_projected(const Mamba2Layer& layer,
                         const at::Tensor& projected,
                         const Call& call,
                         std::span<LayerState* const> states);

/// What is kept of a sequence before its first token.
LayerState make_state(const Mamba2Layer& layer, const CacheOptions& options);

/// Values that a token leaves for the backward pass.
std::uint64_t count_kept_values(const Mamba2Layer& layer);

}  // namespace anamnesis::runtime
