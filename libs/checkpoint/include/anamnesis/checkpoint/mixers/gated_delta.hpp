// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string_view>

#include "anamnesis/checkpoint/tensor_roles.hpp"

namespace anamnesis::checkpoint {

class LayerTensors;

namespace role {

inline constexpr std::string_view query_key_value_gate = "query_key_value_gate";
inline constexpr std::string_view rate_and_step = "rate_and_step";
inline constexpr std::string_view learning_rate = "learning_rate";  ///< beta before its sigmoid
inline constexpr std::string_view step = "step";                    ///< of the decay
inline constexpr std::string_view kernel = "kernel";                ///< of q, k and v together
inline constexpr std::string_view query_kernel = "query_kernel";
inline constexpr std::string_view key_kernel = "key_kernel";
inline constexpr std::string_view value_kernel = "value_kernel";
inline constexpr std::string_view log_rate = "log_rate";    ///< A_log
inline constexpr std::string_view step_bias = "step_bias";  ///< dt_bias

}  // namespace role

/// How the projections of a gated-delta layer lie on disk.
enum class DeltaProjections : std::uint8_t {
    grouped,   ///< in_proj_qkvz, in_proj_ba: key head by key head (Qwen3-Next)
    plain,     ///< in_proj_qkv, in_proj_z, in_proj_b, in_proj_a (Qwen3.5)
    separate,  ///< q_proj, k_proj, v_proj with a convolution each (OLMo hybrid)
};

/// Gated delta rule after short convolutions.
/// Source: Yang et al. 2024, "Gated Delta Networks".
struct GatedDeltaSpec {
    std::uint32_t key_heads = 0;
    std::uint32_t value_heads = 0;
    std::uint32_t key_dim = 0;    ///< of one head
    std::uint32_t value_dim = 0;  ///< of one head
    std::uint32_t conv_width = 0;
    DeltaProjections projections = DeltaProjections::plain;
    double beta_range = 1.0;  ///< beta lies in (0, beta_range)
    double norm_eps = 1e-6;
};

void list_tensors(const GatedDeltaSpec& spec, LayerTensors& tensors);

}  // namespace anamnesis::checkpoint
