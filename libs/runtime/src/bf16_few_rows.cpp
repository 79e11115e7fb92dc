// SPDX-License-Identifier: Apache-2.0
//
// Products of a few rows in bfloat16 with a matrix that is read once, as it lies.

#include <array>
#include <cstddef>
#include <cstring>

#include "bf16_products.hpp"
#include "cpu_inline.hpp"
#include "cpu_kernels.hpp"
#include "cpu_streams.hpp"
#include "cpu_vectors.hpp"

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

/// Bytes between what is read and what is asked for. It waits in the second cache: the first one
/// has no room for it beside the rows that meet.
constexpr std::size_t rows_ahead = 8192;

/// A vector is a line of the cache.
static_assert(step * sizeof(Bf16) == cache_line);

/// Rows of a matrix that lie `apart` rows from each other, and those of x that they meet.
struct Block {
    const Bf16* rows = nullptr;
    std::size_t apart = 0;
    const Bf16* x = nullptr;
    std::size_t inputs = 0;
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
        if (IsWhole) {
            __builtin_prefetch(source + rows_ahead / sizeof *source, 0, 2);
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
    std::size_t v = 0;
    for (; v + most <= p.rows; v += most) {
        dots_of<Rows, most>(block, y + v * p.outputs, p.outputs);
        block.x += most * p.inputs;
    }
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
