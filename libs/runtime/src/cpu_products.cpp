// SPDX-License-Identifier: Apache-2.0
//
// Products in which reading a matrix is the work: its rows are read once, as they lie, and meet
// float32 values.

#include <algorithm>
#include <cstddef>

#include "cpu_kernels.hpp"
#include "cpu_vectors.hpp"

namespace anamnesis::runtime::cpu {
namespace {

constexpr std::size_t cache_line = 64;
/// Bytes that are asked for before they are needed. Processors look ahead within a page of memory
/// only, and mapped files lie in small ones.
constexpr std::size_t ahead = 16384;

/// Some rows of a matrix times some vectors: totals[v * step + r] = rows[r] . vectors[v].
template <std::size_t Rows, std::size_t Vectors, class Weight>
ANAMNESIS_INLINE void dots(
    const Weight* rows, const float* vectors, std::size_t count, float* totals, std::size_t step) {
    Floats sums[Rows][Vectors] = {};
    std::size_t i = 0;
    for (; i + width <= count; i += width) {
        if (i % (cache_line / sizeof(Weight)) == 0) {
            for (std::size_t r = 0; r < Rows; ++r) {
                __builtin_prefetch(rows + r * count + i + ahead / sizeof(Weight));
            }
        }
        Floats values[Vectors];
        for (std::size_t v = 0; v < Vectors; ++v) {
            values[v] = load(vectors + v * count + i);
        }
        for (std::size_t r = 0; r < Rows; ++r) {
            const Floats weight = load(rows + r * count + i);
            for (std::size_t v = 0; v < Vectors; ++v) {
                sums[r][v] += weight * values[v];
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

/// Columns [d, d + 4 * width) of the sums of `Queries` queries.
template <std::size_t Queries, class Value>
ANAMNESIS_INLINE void add_columns(const float* weights,
                                  const Value* values,
                                  float* sums,
                                  const KeyBlock& block) {
    Floats held[Queries][4];
    for (std::size_t g = 0; g < Queries; ++g) {
        for (std::size_t i = 0; i < 4; ++i) {
            held[g][i] = load(sums + g * block.dim + i * width);
        }
    }
    for (std::size_t j = 0; j < block.count; ++j) {
        for (std::size_t i = 0; i < 4; ++i) {
            if (i * width % (cache_line / sizeof(Value)) == 0) {
                __builtin_prefetch(values + j * block.dim + i * width + ahead / sizeof(Value));
            }
            const Floats value = load(values + j * block.dim + i * width);
            for (std::size_t g = 0; g < Queries; ++g) {
                held[g][i] += weights[g * block.stride + j] * value;
            }
        }
    }
    for (std::size_t g = 0; g < Queries; ++g) {
        for (std::size_t i = 0; i < 4; ++i) {
            store(sums + g * block.dim + i * width, held[g][i]);
        }
    }
}

template <std::size_t Queries, class Value>
ANAMNESIS_INLINE void add_values(const float* weights,
                                 const Value* values,
                                 float* sums,
                                 const KeyBlock& block) {
    std::size_t d = 0;
    for (; d + 4 * width <= block.dim; d += 4 * width) {
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
