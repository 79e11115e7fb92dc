// SPDX-License-Identifier: Apache-2.0
#include "bf16_tiles.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "bf16_products.hpp"

namespace anamnesis::runtime::cpu {
namespace {

using namespace lanes_16;

/// Registers that hold one value of each query.
constexpr std::size_t parts = tile_queries / width;

using Signed = std::int32_t __attribute__((vector_size(width * sizeof(std::int32_t))));

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
    // Rounded row by row, then moved pair by pair.
    std::array<Bf16, 2 * width> row;
    for (std::size_t r = 0; r < tile_queries; ++r) {
        std::size_t d = 0;
        for (; d + row.size() <= dim; d += row.size()) {
            store(row.data(), load(rows[r] + d) * scale);
            store(row.data() + width, load(rows[r] + d + width) * scale);
            for (std::size_t i = 0; i < row.size(); i += 2) {
                std::memcpy(packed + ((d + i) / 2 * tile_queries + r) * 2, &row[i], 4);
            }
        }
        for (; d < dim; d += 2) {
            row[0] = rounded(scale * rows[r][d]);
            row[1] = rounded(scale * rows[r][d + 1]);
            std::memcpy(packed + (d / 2 * tile_queries + r) * 2, row.data(), 4);
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
