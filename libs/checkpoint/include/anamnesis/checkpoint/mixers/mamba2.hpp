// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <limits>
#include <optional>
#include <string_view>

#include "anamnesis/checkpoint/tensor_roles.hpp"

namespace anamnesis::checkpoint {

class LayerTensors;

namespace role {

inline constexpr std::string_view input_projection = "input_projection";
inline constexpr std::string_view skip = "skip";  ///< D: what of the input reaches the output

}  // namespace role

/// How the output of a state space meets its gate z.
enum class GatedNorm : std::uint8_t {
    none,        ///< y silu(z)
    gate_first,  ///< norm(y silu(z))
    norm_first,  ///< norm(y) silu(z)
};

/// Mamba-2: a state space whose heads each have one decay, after a short convolution.
/// Source: Dao & Gu 2024, "Transformers are SSMs", section 7.
struct Mamba2Spec {
    std::uint32_t heads = 0;
    std::uint32_t head_dim = 0;
    std::uint32_t groups = 1;      ///< heads / groups neighbouring heads share B and C
    std::uint32_t state_size = 0;  ///< of one channel
    std::uint32_t conv_width = 0;
    bool has_conv_bias = true;
    bool has_input_bias = false;
    bool has_output_bias = false;
    /// Limits of a step, after its softplus.
    double least_step = 0.0;
    double greatest_step = std::numeric_limits<double>::infinity();
    GatedNorm norm = GatedNorm::gate_first;  ///< over each group's channels by themselves
    double norm_eps = 1e-5;
    /// Factors on what in_proj gives: z, x, B, C and dt (Falcon-H1).
    std::optional<std::array<double, 5>> section_scales{};
};

/// Rows of in_proj: z, x, B, C, dt. Channels of the convolution: x, B, C.
void list_tensors(const Mamba2Spec& spec, LayerTensors& tensors);

}  // namespace anamnesis::checkpoint
