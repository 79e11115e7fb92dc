// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstring>

#include "cpu_kernels.hpp"
#include "cpu_vectors.hpp"

// Reading as fast as memory gives: for products in which that is the work.

namespace anamnesis::runtime::cpu {

inline constexpr std::size_t cache_line = 64;
/// Bytes that are asked for before they are needed. Processors look ahead within a page of memory
/// only, and mapped files lie in small ones.
inline constexpr std::size_t ahead = 2048;
/// Places from which a matrix is read at once: one alone leaves a fifth of the rate of the memory
/// unused.
inline constexpr std::size_t streams = 4;

/// 32 neighbours. Of bfloat16 the even and the odd ones, which a shift and a mask part; of float32
/// one half and the other. What they meet is parted in the same way.
struct Parted {
    Floats first, second;
};
inline constexpr std::size_t parted_width = 2 * width;

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

/// Rows of a matrix that lie `apart` rows from each other, times some vectors:
/// totals[v * step + r * apart] = rows[r * apart] . vectors[v].
template <std::size_t Rows, std::size_t Vectors, class Weight>
ANAMNESIS_INLINE void dots(const Weight* rows,
                           std::size_t apart,
                           const float* vectors,
                           std::size_t count,
                           float* totals,
                           std::size_t step) {
    Floats sums[Rows][Vectors] = {};
    std::size_t i = 0;
    for (; i + parted_width <= count; i += parted_width) {
        Parted values[Vectors];
        for (std::size_t v = 0; v < Vectors; ++v) {
            read_for<Weight>(vectors + v * count + i, values[v]);
        }
        for (std::size_t r = 0; r < Rows; ++r) {
            const Weight* row = rows + r * apart * count;
            ask_for(row + i);
            Parted weights;
            read(row + i, weights);
            for (std::size_t v = 0; v < Vectors; ++v) {
                sums[r][v] += weights.first * values[v].first;
                sums[r][v] += weights.second * values[v].second;
            }
        }
    }
    for (std::size_t r = 0; r < Rows; ++r) {
        for (std::size_t v = 0; v < Vectors; ++v) {
            float total = horizontal_sum(sums[r][v]);
            for (std::size_t rest = i; rest < count; ++rest) {
                total += to_float(rows[r * apart * count + rest]) * vectors[v * count + rest];
            }
            totals[v * step + r * apart] = total;
        }
    }
}

}  // namespace anamnesis::runtime::cpu
