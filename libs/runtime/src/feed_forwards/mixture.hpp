// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "anamnesis/runtime/torch.hpp"

#include <cstdint>
#include <vector>

#include "anamnesis/checkpoint/feed_forwards/mixture.hpp"

#include "feed_forwards/dense.hpp"
#include "feed_forwards/router.hpp"
#include "layer_call.hpp"
#include "layer_weights.hpp"
#include "linear.hpp"

namespace anamnesis::runtime {

/// Experts after a router.
struct MixtureFeedForward {
    checkpoint::MixtureSpec spec{};
    Router router{};
    std::vector<DenseFeedForward> experts{};
    DenseFeedForward shared{};               ///< where there is one
    Linear shared_gate{};                    ///< where the shared expert is weighted
    Linear latent_input{}, latent_output{};  ///< where experts compute in a width of their own
};

MixtureFeedForward load_feed_forward(const checkpoint::MixtureSpec& spec,
                                     const LayerWeights& weights);

/// Shapes: x [B, T, d] -> [B, T, d]. Of the call only its observers are read.
at::Tensor apply(const MixtureFeedForward& feed_forward, const at::Tensor& x, const Call& call);

/// Values that a token leaves for the backward pass in its experts.
std::uint64_t count_kept_values(const MixtureFeedForward& feed_forward);

}  // namespace anamnesis::runtime
