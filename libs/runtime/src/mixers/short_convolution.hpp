// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "anamnesis/runtime/torch.hpp"

#include <cstdint>
#include <span>

#include "anamnesis/checkpoint/mixers/short_convolution.hpp"

#include "layer_call.hpp"
#include "layer_weights.hpp"
#include "linear.hpp"

namespace anamnesis::runtime {

/// Gated short convolution without any activation.
struct ShortConvolutionLayer {
    checkpoint::ShortConvolutionSpec spec{};
    Linear in_proj{}, out_proj{};
    at::Tensor kernel{};  ///< [d, 1, taps]
    at::Tensor bias{};    ///< [d], or undefined
};

ShortConvolutionLayer load_mixer(const checkpoint::ShortConvolutionSpec& spec,
                                 const LayerWeights& weights);

/// Mixes tokens.
/// Shapes: x [B, T, d] -> [B, T, d]. `states` is empty (a whole text at once) or has one state
/// for each sequence, which is read and moved on.
at::Tensor mix(const ShortConvolutionLayer& layer,
               const at::Tensor& x,
               const Call& call,
               std::span<LayerState* const> states);

/// What lies between the projections, from `past` on, which moves on; undefined: zeros.
/// Shapes: projected [B, T, 3 d], past [B, taps - 1, d] -> [B, T, d].
at::Tensor gate_and_convolve(const ShortConvolutionLayer& layer,
                             const at::Tensor& projected,
                             at::Tensor& past);

/// What is kept of a sequence before its first token.
LayerState make_state(const ShortConvolutionLayer& layer, const CacheOptions& options);

/// Values that a token leaves for the backward pass: both gates, the input, what is convolved and
/// its sums.
std::uint64_t count_kept_values(const ShortConvolutionLayer& layer);

}  // namespace anamnesis::runtime
