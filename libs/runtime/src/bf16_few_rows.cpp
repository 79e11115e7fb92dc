// SPDX-License-Identifier: Apache-2.0
//
// Products of a few rows in bfloat16 with a matrix that is read once, as it lies.

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>
#include <utility>

#include "bf16_products.hpp"
#include "cpu_kernels.hpp"
#include "cpu_streams.hpp"

namespace anamnesis::runtime::cpu {
namespace {

using namespace lanes_16;

/// Values that one vector holds.
constexpr std::size_t step = 2 * width;

/// `count` values of a vector, and zeros.
ANAMNESIS_INLINE Words rest_at(const Bf16* source, std::size_t count) {
    Words words{};
    std::memcpy(&words, source, count * sizeof *source);
    return words;
}

template <std::size_t Half, std::size_t... Lanes>
ANAMNESIS_INLINE Floats folded(Floats a, Floats b, std::index_sequence<Lanes...> /*lanes*/) {
    constexpr std::size_t piece = 2 * Half;
    // Of both: of each piece one half, and the other.
    return __builtin_shufflevector(a, b, (Lanes / Half * piece + Lanes % Half)...) +
           __builtin_shufflevector(a, b, (Lanes / Half * piece + Lanes % Half + Half)...);
}

/// The sums of `Count` vectors, each folded as `horizontal_sum` folds one, into `totals` side by
/// side.
template <std::size_t Count, std::size_t Half = width / 2>
ANAMNESIS_INLINE void horizontal_sums(const Floats* sums, float* totals) {
    constexpr std::make_index_sequence<width> lanes;
    constexpr std::size_t left = (Count + 1) / 2;
    std::array<Floats, left> next;
    for (std::size_t i = 0; i < left; ++i) {
        const std::size_t second = std::min(2 * i + 1, Count - 1);
        next[i] = folded<Half>(sums[2 * i], sums[second], lanes);
    }
    if constexpr (Half > 1) {
        horizontal_sums<left, Half / 2>(next.data(), totals);
    } else {
        std::memcpy(totals, next.data(), sizeof next);
    }
}

/// Bytes between what several passes read and what they ask for, which waits in the second cache.
constexpr std::size_t rows_ahead = 8192;

/// A vector is a line of the cache.
static_assert(step * sizeof(Bf16) == cache_line);

/// Rows of a matrix that lie `apart` rows from each other, and those of x that they meet.
struct Block {
    const Bf16* rows = nullptr;
    std::size_t apart = 0;
    const Bf16* x = nullptr;
    std::size_t inputs = 0;
    unsigned asks = 0;      ///< bit r: values of row r are asked for before they are needed
    std::size_t ahead = 0;  ///< so far
};

/// Adds the products of `count` <= `step` values from value i on.
template <std::size_t Rows, std::size_t Vectors, bool IsWhole>
ANAMNESIS_INLINE void add_products_of(const Block& block,
                                      std::size_t i,
                                      std::size_t count,
                                      Floats (&sums)[Vectors][Rows]) {
    Words values[Vectors];
#pragma GCC unroll 4
    for (std::size_t v = 0; v < Vectors; ++v) {
        const Bf16* source = block.x + v * block.inputs + i;
        values[v] = IsWhole ? pairs_at(source) : rest_at(source, count);
    }
#pragma GCC unroll 4
    for (std::size_t r = 0; r < Rows; ++r) {
        const Bf16* source = block.rows + r * block.apart * block.inputs + i;
        const Words weights = IsWhole ? pairs_at(source) : rest_at(source, count);
        if (IsWhole && (block.asks >> r & 1U) != 0) {
            __builtin_prefetch(source + block.ahead, 0, 2);
        }
#pragma GCC unroll 4
        for (std::size_t v = 0; v < Vectors; ++v) {
            sums[v][r] = add_products(sums[v][r], weights, values[v]);
        }
    }
}

/// totals[v * outputs + r * apart] = rows[r * apart] . x[v].
template <std::size_t Rows, std::size_t Vectors>
ANAMNESIS_INLINE void dots_of(const Block& block, float* totals, std::size_t outputs) {
    Floats sums[Vectors][Rows] = {};
    std::size_t i = 0;
    for (; i + step <= block.inputs; i += step) {
        add_products_of<Rows, Vectors, true>(block, i, step, sums);
    }
    if (i < block.inputs) {
        add_products_of<Rows, Vectors, false>(block, i, block.inputs - i, sums);
    }
    alignas(sizeof(Floats)) std::array<float, width> all;
    horizontal_sums<Rows * Vectors>(&sums[0][0], all.data());
    for (std::size_t v = 0; v < Vectors; ++v) {
        for (std::size_t r = 0; r < Rows; ++r) {
            totals[v * outputs + r * block.apart] = all[v * Rows + r];
        }
    }
}

/// `Rows` rows, while they are in the cache, times all of x.
template <std::size_t Rows>
ANAMNESIS_INLINE void dots_with_all(Block block, const FewRows& p, float* y) {
    constexpr std::size_t most = 4;
    const std::size_t passes = (p.rows + most - 1) / most;
    // Each pass asks for a part of the rows that come next, so that memory is never asked for all
    // of them at once; a single pass for what comes soon.
    block.ahead =
        passes == 1 ? ahead / sizeof(Bf16) : std::max(block.inputs, rows_ahead / sizeof(Bf16));
    const std::size_t share = (Rows + passes - 1) / passes;
    const auto begin = [&](std::size_t pass) {
        block.asks = pass * share < Rows ? ((1U << share) - 1U) << pass * share : 0U;
    };
    std::size_t v = 0;
    for (; v + most <= p.rows; v += most) {
        begin(v / most);
        dots_of<Rows, most>(block, y + v * p.outputs, p.outputs);
        block.x += most * p.inputs;
    }
    begin(v / most);
    if (v + 2 <= p.rows) {
        dots_of<Rows, 2>(block, y + v * p.outputs, p.outputs);
        block.x += 2 * p.inputs;
        v += 2;
    }
    if (v < p.rows) {
        dots_of<Rows, 1>(block, y + v * p.outputs, p.outputs);
    }
}

}  // namespace

ANAMNESIS_TARGET
void product(
    const Bf16* weight, const Bf16* x, const FewRows& p, std::size_t begin, std::size_t end) {
    const std::size_t apart = (end - begin) / streams;
    std::size_t o = begin;
    for (; o < begin + apart; ++o) {
        dots_with_all<streams>(
            {.rows = weight + o * p.inputs, .apart = apart, .x = x, .inputs = p.inputs},
            p,
            p.y + o);
    }
    for (o = begin + streams * apart; o < end; ++o) {
        dots_with_all<1>({.rows = weight + o * p.inputs, .x = x, .inputs = p.inputs}, p, p.y + o);
    }
}

}  // namespace anamnesis::runtime::cpu
