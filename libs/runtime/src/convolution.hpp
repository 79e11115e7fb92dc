// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "anamnesis/runtime/torch.hpp"

namespace anamnesis::runtime {

struct ConvolutionResult {
    at::Tensor output{};  ///< [B, T, C], before any activation
    at::Tensor past{};    ///< [B, W - 1, C]: the last inputs, newest last
};

/// Causal convolution of each channel by itself: y_t[c] = sum_w kernel[c, w] x_(t-W+1+w)[c], plus
/// a bias where there is one.
/// Shapes: x [B, T, C], kernel [C, W], past [B, W - 1, C] or undefined for zeros, bias [C] or
/// undefined.
ConvolutionResult convolve(const at::Tensor& x,
                           const at::Tensor& kernel,
                           const at::Tensor& past,
                           const at::Tensor& bias = {});

/// The same with a kernel for every token.
/// Shapes: kernel [B, T, C, W].
/// Source: Gu et al. 2025, "Jet-Nemotron", section 3.3.
ConvolutionResult convolve_dynamically(const at::Tensor& x,
                                       const at::Tensor& kernel,
                                       const at::Tensor& past);

}  // namespace anamnesis::runtime
