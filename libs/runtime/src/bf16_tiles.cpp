// SPDX-License-Identifier: Apache-2.0
#include "bf16_tiles.hpp"

#include <cstddef>
#include <cstdint>
#include <cstring>

#if defined(__x86_64__)
#include <immintrin.h>
#define ANAMNESIS_TARGET __attribute__((target("arch=x86-64-v4,avx512bf16")))
#endif
#include "cpu_kernels.hpp"

#define ANAMNESIS_WIDTH 16
#define ANAMNESIS_LANES lanes_16
#include "cpu_vectors.hpp"

namespace anamnesis::runtime::cpu {
namespace {

using namespace lanes_16;

/// Registers that hold one value of each query.
constexpr std::size_t parts = tile_queries / width;
/// Keys, or dimensions of a value, worked on at once: 6 x 4 sums leave registers for the operands.
constexpr std::size_t strip = 6;

using Signed = std::int32_t __attribute__((vector_size(width * sizeof(std::int32_t))));

/// The products of pairs of bfloat16 that share a word, added to `sum`.
ANAMNESIS_INLINE Floats add_products(Floats sum, Words a, Words b) {
#if defined(__x86_64__)
    return _mm512_dpbf16_ps(sum, __builtin_bit_cast(__m512bh, a), __builtin_bit_cast(__m512bh, b));
#else
    const Words high = Words{} + 0xFFFF0000U;
    return sum + __builtin_bit_cast(Floats, a << 16U) * __builtin_bit_cast(Floats, b << 16U) +
           __builtin_bit_cast(Floats, a & high) * __builtin_bit_cast(Floats, b & high);
#endif
}

ANAMNESIS_INLINE Words pairs_at(const Bf16* source) {
    Words words;
    std::memcpy(&words, source, sizeof words);
    return words;
}

/// One pair in every lane.
ANAMNESIS_INLINE Words pair_in_all(const Bf16* source) {
    std::uint32_t word = 0;
    std::memcpy(&word, source, sizeof word);
    return Words{} + word;
}

template <std::size_t Keys, bool IsMasked>
ANAMNESIS_INLINE void score(
    const QueryTile& q, const KeyTile& k, std::size_t first, float* scores, Floats* highest) {
    Floats sums[Keys][parts] = {};
    const Bf16* keys = k.keys + first * k.dim;
    for (std::size_t d = 0; d < k.dim; d += 2) {
        Words queries[parts];
#pragma GCC unroll 4
        for (std::size_t p = 0; p < parts; ++p) {
            queries[p] = pairs_at(q.queries + d * tile_queries + 2 * p * width);
        }
#pragma GCC unroll 6
        for (std::size_t i = 0; i < Keys; ++i) {
            const Words key = pair_in_all(keys + i * k.dim + d);
#pragma GCC unroll 4
            for (std::size_t p = 0; p < parts; ++p) {
                sums[i][p] = add_products(sums[i][p], key, queries[p]);
            }
        }
    }
#pragma GCC unroll 6
    for (std::size_t i = 0; i < Keys; ++i) {
#pragma GCC unroll 4
        for (std::size_t p = 0; p < parts; ++p) {
            Floats value = sums[i][p];
            if constexpr (IsMasked) {
                Signed position;
                std::memcpy(&position, q.positions + p * width, sizeof position);
                const auto key = k.position + static_cast<std::int32_t>(first + i);
                const Signed is_seen = (position >= key) & (position - k.window < key);
                value = is_seen ? value : Floats{} + 3.0F * no_score;
            }
            highest[p] = highest[p] < value ? value : highest[p];
            store(scores + (first + i) * tile_queries + p * width, value);
        }
    }
}

/// scores = keys . queries; returns the new maxima in `highest`.
template <bool IsMasked>
ANAMNESIS_INLINE void score_all(const QueryTile& q,
                                const KeyTile& k,
                                float* scores,
                                Floats* highest) {
    std::size_t j = 0;
    for (; j + strip <= k.count; j += strip) {
        score<strip, IsMasked>(q, k, j, scores, highest);
    }
    for (; j + 2 <= k.count; j += 2) {
        score<2, IsMasked>(q, k, j, scores, highest);
    }
    if (j < k.count) {
        score<1, IsMasked>(q, k, j, scores, highest);
    }
}

/// Two positive numbers in every word, rounded to bfloat16.
ANAMNESIS_INLINE Words paired(Floats low, Floats high) {
    constexpr std::uint32_t half = 0x8000U;
    return ((__builtin_bit_cast(Words, low) + half) >> 16U) |
           ((__builtin_bit_cast(Words, high) + half) & 0xFFFF0000U);
}

/// Scores become weights; returns their sums in `totals`.
ANAMNESIS_INLINE void weigh(
    const KeyTile& k, const float* scores, const Floats* highest, Floats* totals, Bf16* weights) {
    for (std::size_t j = 0; j < k.count; j += 2) {
        const float* row = scores + j * tile_queries;
        const bool has_second = j + 1 < k.count;
        for (std::size_t p = 0; p < parts; ++p) {
            const Floats first = exp_of_negative(load(row + p * width) - highest[p]);
            Floats second{};
            if (has_second) {
                second = exp_of_negative(load(row + tile_queries + p * width) - highest[p]);
            }
            totals[p] += first + second;
            const Words words = paired(first, second);
            std::memcpy(weights + j * tile_queries + 2 * p * width, &words, sizeof words);
        }
    }
}

/// sums = shrink * sums + weights . values, for `Dims` dimensions of the values.
template <std::size_t Dims>
ANAMNESIS_INLINE void add_values(const QueryTile& q,
                                 const KeyTile& k,
                                 std::size_t first,
                                 const Bf16* weights,
                                 const Floats* shrink) {
    Floats sums[Dims][parts];
    float* target = q.sums + first * tile_queries;
#pragma GCC unroll 6
    for (std::size_t d = 0; d < Dims; ++d) {
#pragma GCC unroll 4
        for (std::size_t p = 0; p < parts; ++p) {
            sums[d][p] = load(target + d * tile_queries + p * width) * shrink[p];
        }
    }
    for (std::size_t j = 0; j < k.count; j += 2) {
        Words weight[parts];
#pragma GCC unroll 4
        for (std::size_t p = 0; p < parts; ++p) {
            weight[p] = pairs_at(weights + j * tile_queries + 2 * p * width);
        }
#pragma GCC unroll 6
        for (std::size_t d = 0; d < Dims; ++d) {
            const Words value = pair_in_all(k.values + j * k.dim + 2 * (first + d));
#pragma GCC unroll 4
            for (std::size_t p = 0; p < parts; ++p) {
                sums[d][p] = add_products(sums[d][p], value, weight[p]);
            }
        }
    }
#pragma GCC unroll 6
    for (std::size_t d = 0; d < Dims; ++d) {
#pragma GCC unroll 4
        for (std::size_t p = 0; p < parts; ++p) {
            store(target + d * tile_queries + p * width, sums[d][p]);
        }
    }
}

}  // namespace

ANAMNESIS_TARGET
void pack_queries(const float* const* rows, float scale, std::size_t dim, Bf16* packed) {
    for (std::size_t r = 0; r < tile_queries; ++r) {
        for (std::size_t d = 0; d < dim; d += 2) {
            const std::uint32_t first = rounded(scale * rows[r][d]);
            const std::uint32_t second = rounded(scale * rows[r][d + 1]);
            const std::uint32_t pair = first | (second << 16U);
            std::memcpy(packed + (d / 2 * tile_queries + r) * 2, &pair, sizeof pair);
        }
    }
}

ANAMNESIS_TARGET
void pack_values(const Bf16* values, std::size_t count, std::size_t dim, Bf16* packed) {
    for (std::size_t j = 0; j < count; j += 2) {
        const Bf16* row = values + j * dim;
        Bf16* pairs = packed + j * dim;
        for (std::size_t d = 0; d < dim; ++d) {
            pairs[2 * d] = row[d];
        }
        for (std::size_t d = 0; d < dim; ++d) {
            pairs[2 * d + 1] = j + 1 < count ? row[dim + d] : Bf16{0};
        }
    }
}

ANAMNESIS_TARGET
void attend(const QueryTile& queries, const KeyTile& keys, float* scores, Bf16* weights) {
    Floats highest[parts];
    Floats shrink[parts];
    Floats totals[parts];
    for (std::size_t p = 0; p < parts; ++p) {
        highest[p] = load(queries.maxima + p * width);
    }
    if (keys.is_masked) {
        score_all<true>(queries, keys, scores, highest);
    } else {
        score_all<false>(queries, keys, scores, highest);
    }
    for (std::size_t p = 0; p < parts; ++p) {
        shrink[p] = exp_of_negative(load(queries.maxima + p * width) - highest[p]);
        totals[p] = load(queries.totals + p * width) * shrink[p];
    }
    weigh(keys, scores, highest, totals, weights);
    for (std::size_t p = 0; p < parts; ++p) {
        store(queries.maxima + p * width, highest[p]);
        store(queries.totals + p * width, totals[p]);
    }
    std::size_t d = 0;
    for (; d + strip <= keys.dim; d += strip) {
        add_values<strip>(queries, keys, d, weights, shrink);
    }
    for (; d < keys.dim; d += 2) {
        add_values<2>(queries, keys, d, weights, shrink);
    }
}

}  // namespace anamnesis::runtime::cpu
