// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "anamnesis/runtime/torch.hpp"

#include <cstdint>
#include <span>

#include "anamnesis/checkpoint/mixers/parallel.hpp"

#include "layer_call.hpp"
#include "layer_weights.hpp"
#include "mixers/attention.hpp"
#include "mixers/mamba2.hpp"

namespace anamnesis::runtime {

/// A state space and softmax attention side by side.
struct ParallelLayer {
    checkpoint::ParallelSpec spec{};
    Mamba2Layer mamba{};
    AttentionLayer attention{};
};

ParallelLayer load_mixer(const checkpoint::ParallelSpec& spec, const LayerWeights& weights);

/// Mixes tokens.
/// Shapes: x [B, T, d] -> [B, T, d]. `states` is empty (a whole text at once) or has one state
/// for each sequence, which is read and moved on.
at::Tensor mix(const ParallelLayer& layer,
               const at::Tensor& x,
               const Call& call,
               std::span<LayerState* const> states);

/// Queries and keys of given inputs of the attention, factor and all. Shapes: x [B, T, d].
inline Routing route(const ParallelLayer& layer, const at::Tensor& x, const Call& call) {
    return route(layer.attention, x, call);
}

/// What is kept of a sequence before its first token.
LayerState make_state(const ParallelLayer& layer, const CacheOptions& options);

/// Values that a token leaves for the backward pass.
std::uint64_t count_kept_values(const ParallelLayer& layer);

}  // namespace anamnesis::runtime
