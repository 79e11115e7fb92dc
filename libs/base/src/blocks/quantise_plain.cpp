// SPDX-License-Identifier: Apache-2.0
// Q8_0, Q4_0, Q4_1, Q5_0, Q5_1: blocks of 32 with one scale, and a minimum in the types of 1.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <limits>
#include <span>

#include "anamnesis/base/dtype.hpp"

#include "blocks/fields.hpp"
#include "blocks/quantise.hpp"
#include "blocks/scale_search.hpp"

namespace anamnesis::blocks {
namespace {

constexpr std::size_t count = 32;

/// The levels of one block, and what they are multiplied by and added to.
struct PlainBlock {
    std::array<int, count> levels{};
    float scale = 0.0F;
    float min = 0.0F;  ///< of types with a minimum, with its own sign
};

/// Levels from 0 to 2 * half - 1; the largest magnitude gets `half` levels below the middle.
PlainBlock fit_symmetric(Values values, int half, Values weights, float mean_square) {
    PlainBlock block;
    if (!weights.empty()) {
        std::array<float, count> weighted{};
        weigh_by_importance(values, weights, mean_square, weighted);
        block.scale = search_signed(values, half, weighted, block.levels);
        return block;
    }
    block.scale = find_extreme(values) / static_cast<float>(-half);
    const float inverse = invert(block.scale);
    const float middle = static_cast<float>(half) + 0.5F;
    for (std::size_t i = 0; i < count; ++i) {
        block.levels.at(i) =
            std::min(2 * half - 1, truncate_to_8_bits(values[i] * inverse + middle));
    }
    return block;
}

/// Levels from 0 to `most` between the smallest and the largest value.
PlainBlock fit_between(Values values, int most, Values weights, float mean_square) {
    PlainBlock block;
    if (!weights.empty()) {
        std::array<float, count> weighted{};
        weigh_by_importance(values, weights, mean_square, weighted);
        const ScaleFit fit = search_range(
            values,
            weighted,
            {.most = most, .first = -0.9F, .step = 0.05F, .steps = 36, .is_absolute = false},
            block.levels);
        block.scale = fit.scale;
        block.min = -fit.min;
        return block;
    }
    float min = std::numeric_limits<float>::max();
    float max = std::numeric_limits<float>::lowest();
    for (const float value : values) {
        min = value < min ? value : min;
        max = value > max ? value : max;
    }
    block.min = min;
    block.scale = (max - min) / static_cast<float>(most);
    const float inverse = invert(block.scale);
    for (std::size_t i = 0; i < count; ++i) {
        const int level = truncate_to_8_bits((values[i] - min) * inverse + 0.5F);
        block.levels.at(i) = std::min(most, level);
    }
    return block;
}

void put_nibbles(const PlainBlock& block, Target packed) {
    for (std::size_t i = 0; i < count / 2; ++i) {
        const auto low = static_cast<unsigned>(block.levels.at(i)) & 15U;
        const auto high = static_cast<unsigned>(block.levels.at(i + count / 2)) & 15U;
        put(packed, i, low | high << 4U);
    }
}

}  // namespace

void quantise_q8_0(Values values, Target block) {
    const float scale = std::fabs(find_extreme(values)) / 127.0F;
    const float inverse = invert(scale);
    put_half(block, 0, scale);
    for (std::size_t i = 0; i < values.size(); ++i) {
        const int level = truncate_to_8_bits(std::round(values[i] * inverse));
        put(block, 2 + i, static_cast<unsigned>(level));
    }
}

void quantise_q4(DType dtype, Values values, Values weights, float mean_square, Target block) {
    const bool has_min = dtype == DType::q4_1;
    const PlainBlock fitted = has_min ? fit_between(values, 15, weights, mean_square)
                                      : fit_symmetric(values, 8, weights, mean_square);
    put_half(block, 0, fitted.scale);
    if (has_min) {
        put_half(block, 2, fitted.min);
    }
    put_nibbles(fitted, block.last(16));
}

void quantise_q5(DType dtype, Values values, Values weights, float mean_square, Target block) {
    const bool has_min = dtype == DType::q5_1;
    const PlainBlock fitted = has_min ? fit_between(values, 31, weights, mean_square)
                                      : fit_symmetric(values, 16, weights, mean_square);
    put_half(block, 0, fitted.scale);
    if (has_min) {
        put_half(block, 2, fitted.min);
    }
    unsigned fifth = 0;
    for (std::size_t i = 0; i < count; ++i) {
        fifth |= (static_cast<unsigned>(fitted.levels.at(i)) >> 4U & 1U) << i;
    }
    for (std::size_t i = 0; i < 4; ++i) {
        put(block, (has_min ? 4 : 2) + i, fifth >> (8 * i));
    }
    put_nibbles(fitted, block.last(16));
}

}  // namespace anamnesis::blocks
