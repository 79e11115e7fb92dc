// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>

#include "cpu_kernels.hpp"

namespace anamnesis::runtime::cpu {

/// Attention of 64 queries at a time on bfloat16 products that are summed in float32. Everything
/// lies transposed, a query in each lane: maxima and sums over keys need no exchange of lanes.
/// Only where has_bf16_products(). All of it works on one thread.
inline constexpr std::size_t tile_queries = 64;

/// What lies below every score, and above every score that is masked.
inline constexpr float no_score = -1e30F;

/// 64 queries on their way over the keys; dim is even.
struct QueryTile {
    const Bf16* queries = nullptr;            ///< packed, [dim / 2, 64, 2]
    const std::int32_t* positions = nullptr;  ///< [64]
    float* maxima = nullptr;                  ///< [64], `no_score` at first
    float* totals = nullptr;                  ///< [64], 0 at first: sums of exp(score - maximum)
    float* sums = nullptr;                    ///< [dim, 64], 0 at first: those times values
};

struct KeyTile {
    const Bf16* keys = nullptr;    ///< [count, dim]
    const Bf16* values = nullptr;  ///< packed, [(count + 1) / 2, dim, 2]
    std::size_t count = 0;
    std::size_t dim = 0;
    std::int32_t position = 0;  ///< of the first key
    std::int32_t window = 0;    ///< a query at p sees keys in (p - window, p]
    bool is_masked = false;     ///< some query does not see some key
};

/// 64 float32 rows, times `scale`, into [dim / 2, 64, 2].
void pack_queries(const float* const* rows, float scale, std::size_t dim, Bf16* packed);

/// [count, dim] into [(count + 1) / 2, dim, 2]: rows in pairs.
void pack_values(const Bf16* values, std::size_t count, std::size_t dim, Bf16* packed);

/// Adds keys to what the queries have seen.
/// Scratch: scores [count, 64], weights [(count + 1) / 2, 64, 2].
/// Source: Milakov & Gimelshein 2018 (online softmax).
void attend(const QueryTile& queries, const KeyTile& keys, float* scores, Bf16* weights);

}  // namespace anamnesis::runtime::cpu
