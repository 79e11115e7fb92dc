// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "anamnesis/runtime/torch.hpp"

#include <cstdint>
#include <span>

#include "anamnesis/checkpoint/mixers/shared_block.hpp"

#include "feed_forwards/dense.hpp"
#include "layer_call.hpp"
#include "layer_weights.hpp"
#include "linear.hpp"
#include "mixers/attention.hpp"
#include "mixers/mamba2.hpp"
#include "norm.hpp"

namespace anamnesis::runtime {

/// A state space fed by a transformer block that several layers share. Each has its own keys and
/// values.
struct SharedBlockLayer {
    RmsNorm block_norm{};  ///< of stream and embeddings side by side
    AttentionLayer attention{};
    RmsNorm feed_forward_norm{};
    DenseFeedForward feed_forward{};
    Linear output{};
    RmsNorm mamba_norm{};
    Mamba2Layer mamba{};
};

SharedBlockLayer load_mixer(const checkpoint::SharedBlockSpec& spec, const LayerWeights& weights);

/// Mixes tokens.
/// Shapes: x [B, T, d], the stream itself -> [B, T, d]. `states` is empty (a whole text at once) or
/// has one state for each sequence, which is read and moved on.
at::Tensor mix(const SharedBlockLayer& layer,
               const at::Tensor& x,
               const Call& call,
               std::span<LayerState* const> states);

/// Queries and keys of given inputs of the attention. Shapes: x [B, T, 2 d].
inline Routing route(const SharedBlockLayer& layer, const at::Tensor& x, const Call& call) {
    return route(layer.attention, x, call);
}

/// What is kept of a sequence before its first token.
LayerState make_state(const SharedBlockLayer& layer, const CacheOptions& options);

/// Values that a token leaves for the backward pass.
std::uint64_t count_kept_values(const SharedBlockLayer& layer);

}  // namespace anamnesis::runtime
