// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "anamnesis/runtime/torch.hpp"

#include <cstdint>

#include "anamnesis/checkpoint/feed_forwards.hpp"

#include "layer_call.hpp"
#include "layer_weights.hpp"

namespace anamnesis::runtime {

/// Of a layer that has a mixer alone.
struct NoFeedForwardLayer {};

inline NoFeedForwardLayer load_feed_forward(const checkpoint::NoFeedForward& /*spec*/,
                                            const LayerWeights& /*weights*/) {
    return {};
}

/// What is added to the stream: nothing.
inline at::Tensor apply(const NoFeedForwardLayer& /*layer*/,
                        const at::Tensor& /*x*/,
                        const Call& /*call*/) {
    return {};
}

inline std::uint64_t count_kept_values(const NoFeedForwardLayer& /*layer*/) {
    return 0;
}

}  // namespace anamnesis::runtime
