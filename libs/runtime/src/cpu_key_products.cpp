// SPDX-License-Identifier: Apache-2.0
//
// Keys and values of a cache against a few queries: each is read once for all of them.

#include <algorithm>
#include <cstddef>

#include "cpu_kernels.hpp"

#define ANAMNESIS_KERNELS "cpu_key_products.cpp"
#include "cpu_each_width.hpp"

#if defined(ANAMNESIS_WIDTH)

#include "cpu_streams.hpp"
#include "cpu_vectors.hpp"

namespace anamnesis::runtime::cpu::ANAMNESIS_LANES {
namespace {

/// Keys or values that are worked on together: `count` from each of some places that lie `apart`
/// keys from each other.
struct Strip {
    std::size_t first = 0;
    std::size_t count = 0;
    std::size_t places = 1;
    std::size_t apart = 0;
};

/// Calls `work` with the strips of a block. A strip stays in the cache until all queries met it.
template <class Work>
ANAMNESIS_INLINE void for_each_strip(std::size_t count, const Work& work) {
    constexpr std::size_t length = 8;
    const std::size_t apart = count / streams / length * length;
    for (std::size_t first = 0; first < apart; first += length) {
        work(Strip{.first = first, .count = length, .places = streams, .apart = apart});
    }
    const std::size_t done = streams * apart;
    if (done < count) {
        work(Strip{.first = done, .count = count - done});
    }
}

/// A vector of scores of a few queries, each of which is the sum of a register.
template <std::size_t Queries, class Key>
ANAMNESIS_INLINE void score_tile(const float* queries,
                                 const Key* keys,
                                 std::size_t apart,
                                 float* scores,
                                 const KeyBlock& block) {
    constexpr std::size_t per_place = width / Queries / streams;
    Floats sums[width] = {};
    for (std::size_t d = 0; d < block.dim; d += parted_width) {
        Parted query[Queries];
        for (std::size_t g = 0; g < Queries; ++g) {
            read_for<Key>(queries + g * block.dim + d, query[g]);
        }
        for (std::size_t i = 0; i < streams * per_place; ++i) {
            const Key* row = keys + (i / per_place * apart + i % per_place) * block.dim + d;
            ask_for(row);
            Parted key;
            read(row, key);
            for (std::size_t g = 0; g < Queries; ++g) {
                sums[g * streams * per_place + i] += key.first * query[g].first;
                sums[g * streams * per_place + i] += key.second * query[g].second;
            }
        }
    }
    float totals[width];
    horizontal_sums<width>(sums, totals);
    for (std::size_t g = 0; g < Queries; ++g) {
        for (std::size_t place = 0; place < streams; ++place) {
            std::copy_n(totals + (g * streams + place) * per_place,
                        per_place,
                        scores + g * block.stride + place * apart);
        }
    }
}

/// Scores of `Queries` queries and the keys of a strip.
template <std::size_t Queries, class Key>
ANAMNESIS_INLINE void score_strip(
    const float* queries, const Key* keys, float* scores, const KeyBlock& block, Strip strip) {
    constexpr std::size_t per_place = width / Queries / streams;
    if (strip.places == streams && block.dim % parted_width == 0) {
        for (std::size_t j = strip.first; j < strip.first + strip.count; j += per_place) {
            score_tile<Queries>(queries, keys + j * block.dim, strip.apart, scores + j, block);
        }
        return;
    }
    for (std::size_t place = 0; place < strip.places; ++place) {
        const std::size_t first = strip.first + place * strip.apart;
        for (std::size_t j = first; j < first + strip.count; ++j) {
            dots<1, Queries>(keys + j * block.dim, 1, queries, block.dim, scores + j, block.stride);
        }
    }
}

/// Scores of the queries from `first` on, `Queries` or fewer at a time.
template <std::size_t Queries, class Key>
ANAMNESIS_INLINE void score_queries(const float* queries,
                                    const Key* keys,
                                    float* scores,
                                    const KeyBlock& block,
                                    Strip strip,
                                    std::size_t first) {
    for (; first + Queries <= block.group; first += Queries) {
        score_strip<Queries>(
            queries + first * block.dim, keys, scores + first * block.stride, block, strip);
    }
    if constexpr (Queries > 1) {
        score_queries<Queries / 2>(queries, keys, scores, block, strip, first);
    }
}

template <class Key>
ANAMNESIS_INLINE void group_scores_body(const float* queries,
                                        const Key* keys,
                                        float* scores,
                                        const KeyBlock& block) {
    for_each_strip(block.count, [&](Strip strip) __attribute__((always_inline)) {
        score_queries<width / streams>(queries, keys, scores, block, strip, 0);
    });
}

/// Calls `work` with each key of a strip, a place after the other in turn.
template <class Work>
ANAMNESIS_INLINE void for_each_key(Strip strip, const Work& work) {
    for (std::size_t j = strip.first; j < strip.first + strip.count; ++j) {
        for (std::size_t place = 0; place < strip.places; ++place) {
            work(j + place * strip.apart);
        }
    }
}

/// Columns [0, Parts * parted_width) of the sums of `Queries` queries.
template <std::size_t Queries, std::size_t Parts, class Value>
ANAMNESIS_INLINE void add_columns(
    const float* weights, const Value* values, float* sums, const KeyBlock& block, Strip strip) {
    Parted held[Queries][Parts];
    for (std::size_t g = 0; g < Queries; ++g) {
        for (std::size_t i = 0; i < Parts; ++i) {
            read_for<Value>(sums + g * block.dim + i * parted_width, held[g][i]);
        }
    }
    for_each_key(strip, [&](std::size_t j) __attribute__((always_inline)) {
        for (std::size_t i = 0; i < Parts; ++i) {
            const Value* at = values + j * block.dim + i * parted_width;
            ask_for(at);
            Parted value;
            read(at, value);
            for (std::size_t g = 0; g < Queries; ++g) {
                const float weight = weights[g * block.stride + j];
                held[g][i].first += weight * value.first;
                held[g][i].second += weight * value.second;
            }
        }
    });
    for (std::size_t g = 0; g < Queries; ++g) {
        for (std::size_t i = 0; i < Parts; ++i) {
            write_for<Value>(sums + g * block.dim + i * parted_width, held[g][i]);
        }
    }
}

/// What `Queries` queries take from the values of a strip.
template <std::size_t Queries, class Value>
ANAMNESIS_INLINE void add_strip(
    const float* weights, const Value* values, float* sums, const KeyBlock& block, Strip strip) {
    constexpr std::size_t parts = std::min<std::size_t>(4, most_sums / 2 / Queries);
    std::size_t d = 0;
    for (; d + parts * parted_width <= block.dim; d += parts * parted_width) {
        add_columns<Queries, parts>(weights, values + d, sums + d, block, strip);
    }
    for (; d + parted_width <= block.dim; d += parted_width) {
        add_columns<Queries, 1>(weights, values + d, sums + d, block, strip);
    }
    if (d == block.dim) {
        return;
    }
    for_each_key(strip, [&](std::size_t j) __attribute__((always_inline)) {
        for (std::size_t g = 0; g < Queries; ++g) {
            for (std::size_t column = d; column < block.dim; ++column) {
                sums[g * block.dim + column] +=
                    weights[g * block.stride + j] * to_float(values[j * block.dim + column]);
            }
        }
    });
}

template <class Value>
ANAMNESIS_INLINE void group_sums_body(const float* weights,
                                      const Value* values,
                                      float* sums,
                                      const KeyBlock& block) {
    for_each_strip(block.count, [&](Strip strip) __attribute__((always_inline)) {
        std::size_t g = 0;
        for (; g + 4 <= block.group; g += 4) {
            add_strip<4>(weights + g * block.stride, values, sums + g * block.dim, block, strip);
        }
        for (; g + 3 <= block.group; g += 3) {
            add_strip<3>(weights + g * block.stride, values, sums + g * block.dim, block, strip);
        }
        for (; g + 2 <= block.group; g += 2) {
            add_strip<2>(weights + g * block.stride, values, sums + g * block.dim, block, strip);
        }
        if (g < block.group) {
            add_strip<1>(weights + g * block.stride, values, sums + g * block.dim, block, strip);
        }
    });
}

}  // namespace
}  // namespace anamnesis::runtime::cpu::ANAMNESIS_LANES

#else

namespace anamnesis::runtime::cpu {

ANAMNESIS_KERNEL(void,
                 group_scores,
                 (const float* queries, const Bf16* keys, float* scores, const KeyBlock& block),
                 (queries, keys, scores, block))

ANAMNESIS_KERNEL(void,
                 group_scores,
                 (const float* queries, const float* keys, float* scores, const KeyBlock& block),
                 (queries, keys, scores, block))

ANAMNESIS_KERNEL(void,
                 group_sums,
                 (const float* weights, const Bf16* values, float* sums, const KeyBlock& block),
                 (weights, values, sums, block))

ANAMNESIS_KERNEL(void,
                 group_sums,
                 (const float* weights, const float* values, float* sums, const KeyBlock& block),
                 (weights, values, sums, block))

}  // namespace anamnesis::runtime::cpu

#endif
