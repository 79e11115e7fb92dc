// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "anamnesis/checkpoint/mixers/gated_delta.hpp"

namespace anamnesis::checkpoint {

class LayerTensors;

namespace role {

inline constexpr std::string_view decay = "decay";              ///< of each key channel
inline constexpr std::string_view decay_input = "decay_input";  ///< where the decay is low-rank
inline constexpr std::string_view gate_input = "gate_input";    ///< where the gate is low-rank

}  // namespace role

/// Kimi delta attention: the gated delta rule with a decay for each key channel, after a short
/// convolution each of queries, keys and values. Keys and values are equally wide.
/// Source: Kimi Team 2025, "Kimi Linear", section 3; transformers 5.23, modeling_kimi_linear.py.
struct KimiDeltaSpec {
    std::uint32_t heads = 0;
    std::uint32_t head_dim = 0;
    std::uint32_t conv_width = 0;
    /// Of the projections of decay and output gate; absent: one matrix each.
    std::optional<std::uint32_t> gate_rank{};
    /// The log decay is this times sigmoid(e^A_log y); absent: -e^A_log softplus(y).
    std::optional<double> lower_bound{};
    double norm_eps = 1e-5;
};

/// The other roles are those of the gated delta rule.
void list_tensors(const KimiDeltaSpec& spec, LayerTensors& tensors);

}  // namespace anamnesis::checkpoint
