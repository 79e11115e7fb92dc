// SPDX-License-Identifier: Apache-2.0
//
// Products of bfloat16 that are summed in float32, sixteen lanes at a time: for files compiled with
// ANAMNESIS_TARGET functions, each of which includes this once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#if defined(__x86_64__)
#include <immintrin.h>
#define ANAMNESIS_TARGET __attribute__((target("arch=x86-64-v4,avx512bf16")))
#else
#define ANAMNESIS_TARGET
#endif
#include "cpu_kernels.hpp"

#define ANAMNESIS_WIDTH 16
#define ANAMNESIS_LANES lanes_16
#include "cpu_vectors.hpp"

namespace anamnesis::runtime::cpu::lanes_16 {

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

/// Rows worked on at once: 6 x 4 sums leave registers for the operands.
inline constexpr std::size_t strip = 6;

/// Pairs of values to sum over: of `rows` apart by `row`, the next by `pair`.
struct Factor {
    const Bf16* data = nullptr;
    std::size_t row = 0;
    std::size_t pair = 0;
};

/// Float32 rows `row` values apart, which are added to, or written where they are new.
struct Sums {
    float* data = nullptr;
    std::size_t row = 0;
    bool is_new = false;
};

template <std::size_t Rows, std::size_t Parts>
ANAMNESIS_INLINE void add_tile(const Factor& a, const Factor& b, std::size_t pairs, const Sums& c) {
    Floats sums[Rows][Parts];
#pragma GCC unroll 6
    for (std::size_t r = 0; r < Rows; ++r) {
#pragma GCC unroll 4
        for (std::size_t p = 0; p < Parts; ++p) {
            sums[r][p] = c.is_new ? Floats{} : load(c.data + r * c.row + p * width);
        }
    }
    for (std::size_t j = 0; j < pairs; ++j) {
        Words lanes[Parts];
#pragma GCC unroll 4
        for (std::size_t p = 0; p < Parts; ++p) {
            lanes[p] = pairs_at(b.data + j * b.pair + 2 * p * width);
        }
#pragma GCC unroll 6
        for (std::size_t r = 0; r < Rows; ++r) {
            const Words value = pair_in_all(a.data + r * a.row + j * a.pair);
#pragma GCC unroll 4
            for (std::size_t p = 0; p < Parts; ++p) {
                sums[r][p] = add_products(sums[r][p], value, lanes[p]);
            }
        }
    }
#pragma GCC unroll 6
    for (std::size_t r = 0; r < Rows; ++r) {
#pragma GCC unroll 4
        for (std::size_t p = 0; p < Parts; ++p) {
            store(c.data + r * c.row + p * width, sums[r][p]);
        }
    }
}

template <std::size_t Parts>
ANAMNESIS_INLINE void add_rows(
    const Factor& a, const Factor& b, std::size_t rows, std::size_t pairs, const Sums& c) {
    const auto from = [&](std::size_t r) {
        return Factor{.data = a.data + r * a.row, .row = a.row, .pair = a.pair};
    };
    const auto to = [&](std::size_t r) {
        return Sums{.data = c.data + r * c.row, .row = c.row, .is_new = c.is_new};
    };
    std::size_t r = 0;
    for (; r + strip <= rows; r += strip) {
        add_tile<strip, Parts>(from(r), b, pairs, to(r));
    }
    for (; r + 2 <= rows; r += 2) {
        add_tile<2, Parts>(from(r), b, pairs, to(r));
    }
    if (r < rows) {
        add_tile<1, Parts>(from(r), b, pairs, to(r));
    }
}

/// c[r, l] += sum over pairs j of a[r, j] . b[j, l], or = where c is new; `lanes` is a multiple
/// of 16.
ANAMNESIS_INLINE void add_product(const Factor& a,
                                  const Factor& b,
                                  std::size_t rows,
                                  std::size_t lanes,
                                  std::size_t pairs,
                                  const Sums& c) {
    std::size_t lane = 0;
    const auto right = [&] {
        return Factor{.data = b.data + 2 * lane, .row = b.row, .pair = b.pair};
    };
    const auto to = [&] { return Sums{.data = c.data + lane, .row = c.row, .is_new = c.is_new}; };
    for (; lane + 4 * width <= lanes; lane += 4 * width) {
        add_rows<4>(a, right(), rows, pairs, to());
    }
    for (; lane + 2 * width <= lanes; lane += 2 * width) {
        add_rows<2>(a, right(), rows, pairs, to());
    }
    if (lane < lanes) {
        add_rows<1>(a, right(), rows, pairs, to());
    }
}

/// Bits whose upper half is the bfloat16 nearest to each value.
ANAMNESIS_INLINE Words to_nearest(Floats values) {
    const auto bits = __builtin_bit_cast(Words, values);
    return bits + 0x7FFFU + ((bits >> 16U) & 1U);
}

/// Two numbers in every word, rounded to bfloat16.
ANAMNESIS_INLINE Words paired(Floats low, Floats high) {
    return (to_nearest(low) >> 16U) | (to_nearest(high) & 0xFFFF0000U);
}

}  // namespace anamnesis::runtime::cpu::lanes_16
