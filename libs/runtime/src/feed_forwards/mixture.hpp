// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "anamnesis/runtime/torch.hpp"

#include <cstdint>
#include <vector>

#include "anamnesis/checkpoint/feed_forwards/mixture.hpp"

#include "feed_forwards/dense.hpp"
#include "layer_call.hpp"
#include "layer_weights.hpp"
#include "linear.hpp"

namespace anamnesis::runtime {

/// SwiGLU experts after a router, and one that every token takes.
struct MixtureFeedForward {
    checkpoint::MixtureSpec spec{};
    Linear router{};
    std::vector<DenseFeedForward> experts{};
    DenseFeedForward shared{};
    Linear shared_gate{};
};

MixtureFeedForward load_feed_forward(const checkpoint::MixtureSpec& spec,
                                     const LayerWeights& weights);

/// Shapes: x [B, T, d] -> [B, T, d]. What experts read is not told to observers.
at::Tensor apply(const MixtureFeedForward& feed_forward, const at::Tensor& x, const Call& call);

/// Values that a token leaves for the backward pass in its experts.
std::uint64_t count_kept_values(const MixtureFeedForward& feed_forward);

}  // namespace anamnesis::runtime
