// SPDX-License-Identifier: Apache-2.0
//
// Products in which reading a matrix is the work: its rows are read once, as they lie, and meet
// float32 values.

#include <algorithm>
#include <cstddef>
#include <cstring>

#include "cpu_kernels.hpp"
#include "cpu_vectors.hpp"

namespace anamnesis::runtime::cpu {
namespace {

constexpr std::size_t cache_line = 64;
/// Bytes that are asked for before they are needed. Processors look ahead within a page of memory
/// only, and mapped files lie in small ones.
constexpr std::size_t ahead = 16384;

/// 32 neighbours. Of bfloat16 the even and the odd ones, which a shift and a mask part; of float32
/// one half and the other. What they meet is parted in the same way.
struct Parted {
    Floats first, second;
};
constexpr std::size_t parted_width = 2 * width;

template <class Weight>
ANAMNESIS_INLINE void read(const Weight* source, Parted& values) {
    if constexpr (sizeof(Weight) == sizeof(Bf16)) {
        Words pairs;
        std::memcpy(&pairs, source, sizeof pairs);
        values.first = __builtin_bit_cast(Floats, pairs << 16U);
        values.second = __builtin_bit_cast(Floats, pairs & 0xFFFF0000U);
    } else {
        values.first = load(source);
        values.second = load(source + width);
    }
}

/// Float32 values, parted as those of type Weight.
template <class Weight>
ANAMNESIS_INLINE void read_for(const float* source, Parted& values) {
    const Floats low = load(source);
    const Floats high = load(source + width);
    if constexpr (sizeof(Weight) == sizeof(Bf16)) {
        values.first = __builtin_shufflevector(
            low, high, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
        values.second = __builtin_shufflevector(
            low, high, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
    } else {
        values.first = low;
        values.second = high;
    }
}

template <class Weight>
ANAMNESIS_INLINE void write_for(float* target, const Parted& values) {
    if constexpr (sizeof(Weight) == sizeof(Bf16)) {
        store(target,
              __builtin_shufflevector(values.first,
                                      values.second,
                                      0,
                                      16,
                                      1,
                                      17,
                                      2,
                                      18,
                                      3,
                                      19,
                                      4,
                                      20,
                                      5,
                                      21,
                                      6,
                                      22,
                                      7,
                                      23));
        store(target + width,
              __builtin_shufflevector(values.first,
                                      values.second,
                                      8,
                                      24,
                                      9,
                                      25,
                                      10,
                                      26,
                                      11,
                                      27,
                                      12,
                                      28,
                                      13,
                                      29,
                                      14,
                                      30,
                                      15,
                                      31));
    } else {
        store(target, values.first);
        store(target + width, values.second);
    }
}

/// Asks for all cache lines of `parted_width` values that lie `ahead`.
template <class Weight>
ANAMNESIS_INLINE void ask_for(const Weight* source) {
    for (std::size_t i = 0; i < parted_width; i += cache_line / sizeof(Weight)) {
        __builtin_prefetch(source + i + ahead / sizeof(Weight));
    }
}

/// Some rows of a matrix times some vectors: totals[v * step + r] = rows[r] . vectors[v].
template <std::size_t Rows, std::size_t Vectors, class Weight>
ANAMNESIS_INLINE void dots(
    const Weight* rows, const float* vectors, std::size_t count, float* totals, std::size_t step) {
    Floats sums[Rows][Vectors] = {};
    std::size_t i = 0;
    for (; i + parted_width <= count; i += parted_width) {
        Parted values[Vectors];
        for (std::size_t v = 0; v < Vectors; ++v) {
            read_for<Weight>(vectors + v * count + i, values[v]);
        }
        for (std::size_t r = 0; r < Rows; ++r) {
            ask_for(rows + r * count + i);
            Parted weights;
            read(rows + r * count + i, weights);
            for (std::size_t v = 0; v < Vectors; ++v) {
                sums[r][v] += weights.first * values[v].first;
                sums[r][v] += weights.second * values[v].second;
            }
        }
    }
    for (std::size_t r = 0; r < Rows; ++r) {
        for (std::size_t v = 0; v < Vectors; ++v) {
            float total = total_of(sums[r][v]);
            for (std::size_t rest = i; rest < count; ++rest) {
                total += value_of(rows[r * count + rest]) * vectors[v * count + rest];
            }
            totals[v * step + r] = total;
        }
    }
}

/// All rows of a matrix times `Vectors` vectors, `Rows` at once: several streams keep the memory
/// busy, and each weight is widened once.
template <std::size_t Rows, std::size_t Vectors, class Weight>
ANAMNESIS_INLINE void dots_of_all(const Weight* rows,
                                  std::size_t row_count,
                                  const float* vectors,
                                  std::size_t count,
                                  float* totals,
                                  std::size_t step) {
    std::size_t r = 0;
    for (; r + Rows <= row_count; r += Rows) {
        dots<Rows, Vectors>(rows + r * count, vectors, count, totals + r, step);
    }
    for (; r < row_count; ++r) {
        dots<1, Vectors>(rows + r * count, vectors, count, totals + r, step);
    }
}

template <class Weight>
ANAMNESIS_INLINE void product_of(const Weight* weight,
                                 const FewRows& p,
                                 std::size_t begin,
                                 std::size_t end) {
    const Weight* rows = weight + begin * p.inputs;
    if (p.rows == 1) {
        dots_of_all<4, 1>(rows, end - begin, p.x, p.inputs, p.y + begin, p.outputs);
        return;
    }
    // A few rows of the matrix meet all vectors while they are in the cache.
    constexpr std::size_t strip = 8;
    for (std::size_t o = begin; o < end; o += strip) {
        const std::size_t count = std::min(strip, end - o);
        const Weight* strip_rows = weight + o * p.inputs;
        std::size_t v = 0;
        for (; v + 2 <= p.rows; v += 2) {
            dots_of_all<2, 2>(strip_rows,
                              count,
                              p.x + v * p.inputs,
                              p.inputs,
                              p.y + v * p.outputs + o,
                              p.outputs);
        }
        if (v < p.rows) {
            dots_of_all<4, 1>(strip_rows,
                              count,
                              p.x + v * p.inputs,
                              p.inputs,
                              p.y + v * p.outputs + o,
                              p.outputs);
        }
    }
}

template <class Key>
ANAMNESIS_INLINE void group_scores_of(const float* queries,
                                      const Key* keys,
                                      float* scores,
                                      const KeyBlock& block) {
    // The keys of a strip meet all queries while they are in the cache.
    constexpr std::size_t strip = 32;
    for (std::size_t j = 0; j < block.count; j += strip) {
        const std::size_t count = std::min(strip, block.count - j);
        const Key* strip_keys = keys + j * block.dim;
        std::size_t g = 0;
        for (; g + 2 <= block.group; g += 2) {
            dots_of_all<2, 2>(strip_keys,
                              count,
                              queries + g * block.dim,
                              block.dim,
                              scores + g * block.stride + j,
                              block.stride);
        }
        if (g < block.group) {
            dots_of_all<4, 1>(strip_keys,
                              count,
                              queries + g * block.dim,
                              block.dim,
                              scores + g * block.stride + j,
                              block.stride);
        }
    }
}

/// Columns [d, d + 64) of the sums of `Queries` queries.
constexpr std::size_t column_parts = 2;
template <std::size_t Queries, class Value>
ANAMNESIS_INLINE void add_columns(const float* weights,
                                  const Value* values,
                                  float* sums,
                                  const KeyBlock& block) {
    Parted held[Queries][column_parts];
    for (std::size_t g = 0; g < Queries; ++g) {
        for (std::size_t i = 0; i < column_parts; ++i) {
            read_for<Value>(sums + g * block.dim + i * parted_width, held[g][i]);
        }
    }
    for (std::size_t j = 0; j < block.count; ++j) {
        for (std::size_t i = 0; i < column_parts; ++i) {
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
    }
    for (std::size_t g = 0; g < Queries; ++g) {
        for (std::size_t i = 0; i < column_parts; ++i) {
            write_for<Value>(sums + g * block.dim + i * parted_width, held[g][i]);
        }
    }
}

template <std::size_t Queries, class Value>
ANAMNESIS_INLINE void add_values(const float* weights,
                                 const Value* values,
                                 float* sums,
                                 const KeyBlock& block) {
    std::size_t d = 0;
    constexpr std::size_t columns = column_parts * parted_width;
    for (; d + columns <= block.dim; d += columns) {
        add_columns<Queries>(weights, values + d, sums + d, block);
    }
    for (; d < block.dim; ++d) {
        for (std::size_t g = 0; g < Queries; ++g) {
            for (std::size_t j = 0; j < block.count; ++j) {
                sums[g * block.dim + d] +=
                    weights[g * block.stride + j] * value_of(values[j * block.dim + d]);
            }
        }
    }
}

template <class Value>
ANAMNESIS_INLINE void group_sums_of(const float* weights,
                                    const Value* values,
                                    float* sums,
                                    const KeyBlock& block) {
    constexpr std::size_t strip = 32;
    for (std::size_t j = 0; j < block.count; j += strip) {
        KeyBlock part = block;
        part.count = std::min(strip, block.count - j);
        const Value* strip_values = values + j * block.dim;
        std::size_t g = 0;
        for (; g + 2 <= block.group; g += 2) {
            add_values<2>(weights + g * block.stride + j, strip_values, sums + g * block.dim, part);
        }
        if (g < block.group) {
            add_values<1>(weights + g * block.stride + j, strip_values, sums + g * block.dim, part);
        }
    }
}

}  // namespace

ANAMNESIS_FOR_EACH_CPU
void product(const Bf16* weight, const FewRows& product, std::size_t begin, std::size_t end) {
    product_of(weight, product, begin, end);
}

ANAMNESIS_FOR_EACH_CPU
void product(const float* weight, const FewRows& product, std::size_t begin, std::size_t end) {
    product_of(weight, product, begin, end);
}

ANAMNESIS_FOR_EACH_CPU
void group_scores(const float* queries, const Bf16* keys, float* scores, const KeyBlock& block) {
    group_scores_of(queries, keys, scores, block);
}

ANAMNESIS_FOR_EACH_CPU
void group_scores(const float* queries, const float* keys, float* scores, const KeyBlock& block) {
    group_scores_of(queries, keys, scores, block);
}

ANAMNESIS_FOR_EACH_CPU
void group_sums(const float* weights, const Bf16* values, float* sums, const KeyBlock& block) {
    group_sums_of(weights, values, sums, block);
}

ANAMNESIS_FOR_EACH_CPU
void group_sums(const float* weights, const float* values, float* sums, const KeyBlock& block) {
    group_sums_of(weights, values, sums, block);
}

}  // namespace anamnesis::runtime::cpu
