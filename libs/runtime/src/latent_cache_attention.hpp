// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "anamnesis/runtime/torch.hpp"

#include "anamnesis/checkpoint/mixers/latent_attention.hpp"

#include "key_value_cache.hpp"
#include "linear.hpp"

namespace anamnesis::runtime {

// Attention of multi-head latent attention. A cache holds for each token the latent, then the part
// of the key that all heads share: one head of kv_rank + rope_dim values, which are their own
// values. Queries come as [T, heads, D], D = nope_dim + rope_dim, so that q k^T / sqrt(D) are the
// logits; `key_value` makes keys and values of latents: [heads (nope_dim + value_dim), kv_rank].

/// Causal attention within one call. Differentiable.
/// Shapes: q, keys [B, T, heads, D], values [B, T, heads, value_dim] -> as values.
at::Tensor attend_within_latents(const checkpoint::LatentAttentionSpec& spec,
                                 const at::Tensor& q,
                                 const at::Tensor& keys,
                                 const at::Tensor& values);

/// The last T tokens of a cache look back over all of it, in the form that computes less.
/// Shapes: -> [T, heads, value_dim].
at::Tensor attend_to_latents(const checkpoint::LatentAttentionSpec& spec,
                             const Linear& key_value,
                             const at::Tensor& q,
                             const KeyValueCache& cache);

/// The same with queries and outputs carried over to the latents, which all heads then read as they
/// lie: for few tokens.
/// Source: DeepSeek-AI 2024, "DeepSeek-V2", section 2.1.2 and appendix C.
at::Tensor attend_absorbed(const checkpoint::LatentAttentionSpec& spec,
                           const Linear& key_value,
                           const at::Tensor& q,
                           const KeyValueCache& cache);

/// The same with the keys and values of a few heads at a time, so that memory does not grow with
/// heads: for many tokens.
at::Tensor attend_expanded(const checkpoint::LatentAttentionSpec& spec,
                           const Linear& key_value,
                           const at::Tensor& q,
                           const KeyValueCache& cache);

}  // namespace anamnesis::runtime
