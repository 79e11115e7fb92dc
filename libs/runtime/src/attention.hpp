// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "anamnesis/runtime/torch.hpp"

#include <cstdint>
#include <optional>
#include <span>

#include "key_value_cache.hpp"

namespace anamnesis::runtime {

struct AttentionOptions {
    /// A query at position p sees the keys at positions <= p, the nearest `window` of them.
    std::optional<std::int64_t> window{};
    /// [heads], float32 on the CPU unless gradients flow: a logit beside those of the keys, which
    /// takes weight and has no value; undefined: none.
    /// Source: Xiao et al. 2023, "Efficient Streaming Language Models with Attention Sinks";
    /// gpt-oss.
    at::Tensor sinks{};
    /// c: a score s counts as c tanh(s / c); absent: as it is.
    /// Source: Gemma Team 2024, "Gemma 2".
    std::optional<double> softcap{};
    /// [heads], float32 on the CPU unless gradients flow: what a score loses for each token between
    /// query and key; undefined: nothing.
    /// Source: Press et al. 2022, "ALiBi".
    at::Tensor slopes{};
    /// Where the processor multiplies bfloat16, a backward pass may be of factors rounded to it, as
    /// those of the projections are.
    bool may_round = false;
};

/// Causal softmax attention within one call, queries and keys starting together.
/// Query head h reads key-value head h / (heads / kv_heads). Scale head_dim^-0.5.
/// Differentiable. Shapes: q [B, T, heads, D], k, v [B, T, kv_heads, D] -> [B, T, heads, D].
at::Tensor attend_within(const at::Tensor& q,
                         const at::Tensor& k,
                         const at::Tensor& v,
                         const AttentionOptions& options);

/// The last T tokens of a cache look back over all of it, block by block: memory does not grow
/// with the cache.
/// Shapes: q [T, heads, D] in float32 or float64 -> the same.
/// Source: Milakov & Gimelshein 2018 (online softmax); Dao et al. 2022, algorithm 1.
at::Tensor attend_to_cache(const at::Tensor& q,
                           const KeyValueCache& cache,
                           const AttentionOptions& options);

/// The same for a batch of sequences of one length, each with a cache of its own.
/// Shapes: q [B, T, heads, D] -> the same.
at::Tensor attend_to_caches(const at::Tensor& q,
                            std::span<const KeyValueCache* const> caches,
                            const AttentionOptions& options);

/// The slow twin of all: all scores at once.
/// Shapes: q [T, heads, D], keys and values [kv_heads, S, D], the queries being the last T of S.
at::Tensor naive_attention(const at::Tensor& q,
                           const at::Tensor& keys,
                           const at::Tensor& values,
                           const AttentionOptions& options);

}  // namespace anamnesis::runtime
