// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "anamnesis/runtime/torch.hpp"

#include <cstddef>
#include <cstdint>
#include <span>

#include "anamnesis/checkpoint/mixers/latent_attention.hpp"

#include "layer_call.hpp"
#include "layer_weights.hpp"
#include "linear.hpp"
#include "norm.hpp"

namespace anamnesis::runtime {

/// Softmax attention whose keys and values are made of one latent for each token.
struct LatentAttentionLayer {
    checkpoint::LatentAttentionSpec spec{};
    Linear q_in{}, q_proj{};  ///< the first where queries are low-rank
    RmsNorm q_norm{};
    Linear latent_proj{};  ///< [kv_rank + rope_dim, d]
    RmsNorm latent_norm{};
    Linear key_value{};  ///< [heads (nope_dim + value_dim), kv_rank]: head by head, key then value
    Linear head_gate{}, o_proj{};
    std::size_t table = 0;  ///< into Call::tables, where spec.rotary is set
};

LatentAttentionLayer load_mixer(const checkpoint::LatentAttentionSpec& spec,
                                const LayerWeights& weights);

/// Mixes tokens.
/// Shapes: x [B, T, d] -> [B, T, d]. `states` is empty (a whole text at once) or has one state
/// for each sequence, which is read and moved on.
at::Tensor mix(const LatentAttentionLayer& layer,
               const at::Tensor& x,
               const Call& call,
               std::span<LayerState* const> states);

/// Queries and keys of given inputs, expanded: one key head for each query head.
/// Shapes: x [B, T, d].
Routing route(const LatentAttentionLayer& layer, const at::Tensor& x, const Call& call);

/// Query, key and value rows of given inputs, before anything is turned. Shapes: x [B, T, d].
LatentRows project_latents(const LatentAttentionLayer& layer, const at::Tensor& x);

/// What is kept of a sequence before its first token: a cache of latents and shared keys.
LayerState make_state(const LatentAttentionLayer& layer, const CacheOptions& options);

/// Values that a token leaves for the backward pass: queries as projected, turned and scaled, keys
/// and values as made of the latent and joined, and what the gate multiplies.
std::uint64_t count_kept_values(const LatentAttentionLayer& layer);

}  // namespace anamnesis::runtime
