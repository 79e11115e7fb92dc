// SPDX-License-Identifier: Apache-2.0
//
// Reading as fast as memory gives: for products in which that is the work. Included once for each
// width, as cpu_vectors.hpp is.

#if !defined(ANAMNESIS_CPU_STREAMS)
#define ANAMNESIS_CPU_STREAMS

#include <cstddef>
#include <cstring>
#include <utility>

#include "cpu_kernels.hpp"
#include "cpu_vectors.hpp"

namespace anamnesis::runtime::cpu::ANAMNESIS_LANES {

inline constexpr std::size_t cache_line = 64;
/// Bytes that are asked for before they are needed. Processors look ahead within a page of memory
/// only, and mapped files lie in small ones.
inline constexpr std::size_t ahead = 2048;
/// Places from which a matrix is read at once: one alone leaves a fifth of the rate of the memory
/// unused.
inline constexpr std::size_t streams = 4;

/// Neighbours that fill two vectors. Of bfloat16 the even and the odd ones, which a shift and a
/// mask part; of float32 one half and the other. What they meet is parted in the same way.
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

/// Every second value of two vectors, from `First` on.
template <std::size_t First, std::size_t... Lanes>
ANAMNESIS_INLINE Floats every_second(Floats low,
                                     Floats high,
                                     std::index_sequence<Lanes...> /*lanes*/) {
    return __builtin_shufflevector(low, high, (2 * Lanes + First)...);
}

/// The values of two vectors in turn, from value `First` of each on.
template <std::size_t First, std::size_t... Lanes>
ANAMNESIS_INLINE Floats in_turn(Floats even, Floats odd, std::index_sequence<Lanes...> /*lanes*/) {
    return __builtin_shufflevector(even, odd, (First + Lanes / 2 + Lanes % 2 * width)...);
}

/// Float32 values, parted as those of type Weight.
template <class Weight>
ANAMNESIS_INLINE void read_for(const float* source, Parted& values) {
    constexpr std::make_index_sequence<width> lanes;
    const Floats low = load(source);
    const Floats high = load(source + width);
    if constexpr (sizeof(Weight) == sizeof(Bf16)) {
        values.first = every_second<0>(low, high, lanes);
        values.second = every_second<1>(low, high, lanes);
    } else {
        values.first = low;
        values.second = high;
    }
}

template <class Weight>
ANAMNESIS_INLINE void write_for(float* target, const Parted& values) {
    constexpr std::make_index_sequence<width> lanes;
    if constexpr (sizeof(Weight) == sizeof(Bf16)) {
        store(target, in_turn<0>(values.first, values.second, lanes));
        store(target + width, in_turn<width / 2>(values.first, values.second, lanes));
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

}  // namespace anamnesis::runtime::cpu::ANAMNESIS_LANES

#endif
