// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "anamnesis/runtime/torch.hpp"

#include <cstdint>

#include "anamnesis/checkpoint/feed_forwards/dense.hpp"

#include "layer_call.hpp"
#include "layer_weights.hpp"
#include "linear.hpp"

namespace anamnesis::runtime {

/// down(a(gate(x)) * up(x)), or down(a(up(x))).
struct DenseFeedForward {
    checkpoint::DenseSpec spec{};
    Linear gate_proj{};  ///< undefined without a gate
    Linear up_proj{}, down_proj{};
    LowRank adapter{};  ///< of gate and up as one, where layers share them
};

/// The two halves of rows of a matrix that is gate and up in one.
DenseFeedForward split_gate_up(const checkpoint::DenseSpec& spec,
                               const Linear& gate_up,
                               const Linear& down);

DenseFeedForward load_feed_forward(const checkpoint::DenseSpec& spec, const LayerWeights& weights);

/// Shapes: x [B, T, d] -> [B, T, d]. Of the call only its observers are read.
at::Tensor apply(const DenseFeedForward& feed_forward, const at::Tensor& x, const Call& call);

/// Values that a token leaves for the backward pass.
std::uint64_t count_kept_values(const DenseFeedForward& feed_forward);

}  // namespace anamnesis::runtime
