// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string_view>

namespace anamnesis::checkpoint {

class LayerTensors;

namespace role {

inline constexpr std::string_view scan_inputs = "scan_inputs";  ///< x_proj: dt, B and C
inline constexpr std::string_view step_norm = "step_norm";
inline constexpr std::string_view b_norm = "b_norm";
inline constexpr std::string_view c_norm = "c_norm";

}  // namespace role

/// Mamba-1: a state space with a decay of its own for each channel and state.
/// Source: Gu & Dao 2023, "Mamba", section 3; Lieber et al. 2024, "Jamba", for the inner norms.
struct Mamba1Spec {
    std::uint32_t channels = 0;
    std::uint32_t state_size = 0;  ///< of one channel
    std::uint32_t step_rank = 0;
    std::uint32_t conv_width = 0;
    bool has_conv_bias = true;
    bool has_bias = false;         ///< of in_proj and out_proj
    bool has_inner_norms = false;  ///< of dt, B and C before they are used (Jamba)
    double norm_eps = 1e-6;
};

/// Rows of in_proj: x, z; of x_proj: dt, B, C.
void list_tensors(const Mamba1Spec& spec, LayerTensors& tensors);

}  // namespace anamnesis::checkpoint
