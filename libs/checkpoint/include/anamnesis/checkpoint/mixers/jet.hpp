// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string_view>

namespace anamnesis::checkpoint {

class LayerTensors;

namespace role {

inline constexpr std::string_view generator_input = "generator_input";
inline constexpr std::string_view generator_output = "generator_output";

}  // namespace role

/// Gated delta rule whose values pass a convolution with a kernel made from the input.
/// Source: Gu et al. 2025, "Jet-Nemotron", section 3.3.
struct JetSpec {
    std::uint32_t heads = 0;
    std::uint32_t key_dim = 0;    ///< of one head
    std::uint32_t value_dim = 0;  ///< of one head
    std::uint32_t conv_width = 0;
    std::uint32_t generator_width = 0;
    double norm_eps = 1e-5;
};

/// The roles of the gates and decays are those of the gated delta rule.
void list_tensors(const JetSpec& spec, LayerTensors& tensors);

}  // namespace anamnesis::checkpoint
