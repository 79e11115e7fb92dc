// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string_view>

#include "anamnesis/checkpoint/feed_forwards/dense.hpp"

namespace anamnesis::checkpoint {

class LayerTensors;

namespace role {

inline constexpr std::string_view branch = "branch";                    ///< that is activated
inline constexpr std::string_view recurrent_input = "recurrent_input";  ///< of the convolution
inline constexpr std::string_view input_gate = "input_gate";
inline constexpr std::string_view input_gate_bias = "input_gate.bias";
inline constexpr std::string_view decay_gate = "decay_gate";
inline constexpr std::string_view decay_gate_bias = "decay_gate.bias";
inline constexpr std::string_view decay_rate = "decay_rate";  ///< before its softplus

}  // namespace role

/// The recurrent block of Griffin: a real-gated linear recurrent unit (RG-LRU) after a short
/// convolution, times an activated branch.
/// Source: De et al. 2024, "Griffin", sections 2.3 and 2.4; transformers 5.24,
/// modeling_recurrent_gemma.py.
struct RgLruSpec {
    std::uint32_t channels = 0;
    std::uint32_t heads = 0;  ///< of channels, each with gates of its own
    std::uint32_t conv_width = 0;
    Activation activation = Activation::gelu_tanh;
};

/// The gates' matrices are [heads, inputs, outputs].
void list_tensors(const RgLruSpec& spec, LayerTensors& tensors);

}  // namespace anamnesis::checkpoint
