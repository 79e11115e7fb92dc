// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "anamnesis/runtime/torch.hpp"

#include <cstddef>
#include <cstdint>
#include <span>

#include "anamnesis/checkpoint/mixers/attention.hpp"

#include "layer_call.hpp"
#include "layer_weights.hpp"
#include "linear.hpp"
#include "norm.hpp"

namespace anamnesis::runtime {

/// Softmax attention with grouped queries.
struct AttentionLayer {
    checkpoint::AttentionSpec spec{};
    Linear q_proj{}, k_proj{}, v_proj{}, o_proj{};
    Linear qkv_proj{};    ///< in place of the three where spec.fused says how its rows lie
    at::Tensor sinks{};   ///< [heads], where spec.has_sinks
    at::Tensor slopes{};  ///< [heads], where spec.alibi_factor
    Linear o_gate{};
    LowRank q_adapter{}, k_adapter{}, v_adapter{};  ///< where layers share the projections
    RmsNorm q_norm{}, k_norm{};
    std::size_t table = 0;  ///< into Call::tables, where spec.rotary is set
};

AttentionLayer load_mixer(const checkpoint::AttentionSpec& spec, const LayerWeights& weights);

/// Mixes tokens.
/// Shapes: x [B, T, d] -> [B, T, d]. `states` is empty (a whole text at once) or has one state
/// for each sequence, which is read and moved on.
at::Tensor mix(const AttentionLayer& layer,
               const at::Tensor& x,
               const Call& call,
               std::span<LayerState* const> states);

/// Queries and keys of given inputs. Shapes: x [B, T, d].
Routing route(const AttentionLayer& layer, const at::Tensor& x, const Call& call);

/// What is kept of a sequence before its first token.
LayerState make_state(const AttentionLayer& layer, const CacheOptions& options);

/// Values that a token leaves for the backward pass: queries and keys as projected, normalised
/// and rotated, values, and what the gate multiplies.
std::uint64_t count_kept_values(const AttentionLayer& layer);

}  // namespace anamnesis::runtime
