// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string_view>

#include "anamnesis/checkpoint/mixers/gated_delta.hpp"
#include "anamnesis/checkpoint/tensor_roles.hpp"

namespace anamnesis::checkpoint {

class LayerTensors;

namespace role {

/// Its rows: what gates the input, what gates the output, the input.
inline constexpr std::string_view gates_and_input = "gates_and_input";

}  // namespace role

/// Gated short convolution without any activation: out(c * (conv(b * x) + bias)), b, c and x being
/// projections of the same input.
/// Source: transformers 5.23, modeling_lfm2.py.
struct ShortConvolutionSpec {
    std::uint32_t taps = 0;
    bool has_bias = false;  ///< of both projections and of the convolution
};

void list_tensors(const ShortConvolutionSpec& spec, LayerTensors& tensors);

}  // namespace anamnesis::checkpoint
