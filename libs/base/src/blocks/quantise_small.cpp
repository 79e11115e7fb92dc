// SPDX-License-Identifier: Apache-2.0
// Types whose levels are few and not evenly spaced, or one to two bits.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <span>

#include "blocks/fields.hpp"
#include "blocks/quantise.hpp"
#include "blocks/scale_search.hpp"

namespace anamnesis::blocks {
namespace {

constexpr std::size_t part_size = 32;
constexpr int iq4_tries = 7;

/// The nearest of the sixteen levels; of two as near the upper.
std::size_t find_iq4_level(float value) {
    const float twice = value + value;
    std::size_t index = 0;
    for (std::size_t step = 8; step > 0; step /= 2) {
        const std::size_t other = index + step;
        const auto middle = static_cast<float>(iq4_levels.at(other - 1) + iq4_levels.at(other));
        index = twice >= middle ? other : index;
    }
    return index;
}

/// Weighted sums of level times value and of level squared, under an inverse scale.
struct Iq4Sums {
    float with_values = 0.0F;
    float with_levels = 0.0F;

    Iq4Sums(Values values, Values weights, float inverse) {
        for (std::size_t i = 0; i < values.size(); ++i) {
            const auto level =
                static_cast<float>(iq4_levels.at(find_iq4_level(inverse * values[i])));
            with_values += weights[i] * level * values[i];
            with_levels += weights[i] * level * level;
        }
    }
};

/// The scale of 32 values; 0 where they are all zero. `mean` is twice that of the squares.
float fit_iq4(Values values, Values importance, float mean) {
    std::array<float, part_size> weights{};
    if (importance.empty()) {
        std::ranges::transform(values, weights.begin(), [](float value) { return value * value; });
    } else {
        weigh_by_importance(values, importance, mean, weights);
    }
    const float extreme = find_extreme(values);
    if (std::fabs(extreme) < smallest_group) {
        return 0.0F;
    }
    const auto lowest = static_cast<float>(iq4_levels.front());
    const Iq4Sums first(values, weights, 1.0F / (-extreme / lowest));
    float scale = first.with_values / first.with_levels;
    float best = scale * first.with_values;
    for (int step = -iq4_tries; step <= iq4_tries; ++step) {
        const Iq4Sums sums(values, weights, (static_cast<float>(step) + lowest) / extreme);
        if (sums.with_levels > 0.0F &&
            sums.with_values * sums.with_values > best * sums.with_levels) {
            scale = sums.with_values / sums.with_levels;
            best = scale * sums.with_values;
        }
    }
    return scale;
}

void put_iq4(Values values, float inverse, Target packed) {
    for (std::size_t i = 0; i < part_size / 2; ++i) {
        const std::size_t low = find_iq4_level(inverse * values[i]);
        const std::size_t high = find_iq4_level(inverse * values[i + part_size / 2]);
        put(packed, i, static_cast<unsigned>(low | high << 4U));
    }
}

/// The nearest of the sixteen values, the first among equals.
unsigned find_e2m1(float value, float scale) {
    unsigned best = 0;
    float least = std::fabs(static_cast<float>(e2m1_levels.front()) * scale - value);
    for (unsigned i = 1; i < e2m1_levels.size(); ++i) {
        const float error = std::fabs(static_cast<float>(e2m1_levels.at(i)) * scale - value);
        if (error < least) {
            least = error;
            best = i;
        }
    }
    return best;
}

/// -1, 0 or 1, plus 1.
unsigned find_trit(float value, float inverse) {
    return static_cast<unsigned>(static_cast<int>(std::lround(value * inverse)) + 1);
}

/// `count` trits `stride` values apart, most significant first, as a fraction of 3^5.
unsigned pack_trits(Values values, std::size_t stride, std::size_t count, float inverse) {
    unsigned packed = 0;
    for (std::size_t i = 0; i < 5; ++i) {
        packed = packed * 3U + (i < count ? find_trit(values[i * stride], inverse) : 0U);
        packed &= 0xFFU;
    }
    return (packed * 256U + 242U) / 243U;
}

}  // namespace

void quantise_iq4_nl(Values values, Values weights, Target block) {
    const float mean = add_squares(values) * (2.0F / static_cast<float>(part_size));
    const float scale = fit_iq4(values, weights, mean);
    put_half(block, 0, scale);
    put_iq4(values, invert(scale), block.last(16));
    if (std::fabs(find_extreme(values)) < smallest_group) {
        put_iq4(values, 0.0F, block.last(16));
    }
}

void quantise_iq4_xs(Values values, Values weights, Target block) {
    const float mean = add_squares(values) * (2.0F / static_cast<float>(super_block));
    std::array<float, 8> scales{};
    for (std::size_t part = 0; part < scales.size(); ++part) {
        scales.at(part) =
            fit_iq4(values.subspan(part * part_size, part_size),
                    weights.empty() ? weights : weights.subspan(part * part_size, part_size),
                    mean);
    }
    const float scale = -find_extreme(scales) / 32.0F;
    const float inverse = invert(scale);
    put_half(block, 0, scale);
    unsigned high = 0;
    for (std::size_t part = 0; part < scales.size(); ++part) {
        const int level = std::clamp(round_to_even(inverse * scales.at(part)), -32, 31);
        put_iq4(values.subspan(part * part_size, part_size),
                invert(scale * static_cast<float>(level)),
                block.subspan(8 + 16 * part, 16));
        const auto stored = static_cast<unsigned>(level + 32);
        high |= stored >> 4U << (2 * part);
        const unsigned other = part % 2 == 0 ? 0U : at(block, 4 + part / 2);
        put(block, 4 + part / 2, other | (stored & 15U) << (4 * (part % 2)));
    }
    put(block, 2, high);
    put(block, 3, high >> 8U);
}

void quantise_mxfp4(Values values, Target block) {
    const float largest = std::fabs(find_extreme(values));
    const unsigned exponent =
        largest > 0.0F
            ? static_cast<unsigned>(static_cast<int>(std::floor(std::log2(largest)) + 125.0F)) &
                  0xFFU
            : 0U;
    put(block, 0, exponent);
    const float scale = half_of_e8m0(exponent);
    for (std::size_t i = 0; i < part_size / 2; ++i) {
        put(block,
            1 + i,
            find_e2m1(values[i], scale) | find_e2m1(values[i + part_size / 2], scale) << 4U);
    }
}

void quantise_tq1_0(Values values, Target block) {
    const float scale = std::fabs(find_extreme(values));
    const float inverse = invert(scale);
    put_half(block, 52, scale);
    for (std::size_t i = 0; i < 32; ++i) {
        put(block, i, pack_trits(values.subspan(i), 32, 5, inverse));
    }
    for (std::size_t i = 0; i < 16; ++i) {
        put(block, 32 + i, pack_trits(values.subspan(160 + i), 16, 5, inverse));
    }
    for (std::size_t i = 0; i < 4; ++i) {
        put(block, 48 + i, pack_trits(values.subspan(240 + i), 4, 4, inverse));
    }
}

void quantise_tq2_0(Values values, Target block) {
    const float scale = std::fabs(find_extreme(values));
    const float inverse = invert(scale);
    put_half(block, 64, scale);
    for (std::size_t i = 0; i < 64; ++i) {
        const std::size_t first = i / 32 * 128 + i % 32;
        unsigned byte = 0;
        for (std::size_t run = 0; run < 4; ++run) {
            byte |= (find_trit(values[first + 32 * run], inverse) & 3U) << (2 * run);
        }
        put(block, i, byte);
    }
}

void quantise_q1_0(Values values, Target block) {
    float sum = 0.0F;
    for (const float value : values) {
        sum += std::fabs(value);
    }
    put_half(block, 0, sum / static_cast<float>(values.size()));
    for (std::size_t i = 0; i < values.size() / 8; ++i) {
        unsigned byte = 0;
        for (std::size_t bit = 0; bit < 8; ++bit) {
            byte |= (values[8 * i + bit] >= 0.0F ? 1U : 0U) << bit;
        }
        put(block, 2 + i, byte);
    }
}

void quantise_q2_0(Values values, Target block) {
    const float scale = std::fabs(find_extreme(values));
    const float inverse = invert(scale);
    put_half(block, 0, scale);
    for (std::size_t i = 0; i < values.size() / 4; ++i) {
        unsigned byte = 0;
        for (std::size_t k = 0; k < 4; ++k) {
            const int level = static_cast<int>(std::round(values[4 * i + k] * inverse)) + 1;
            byte |= static_cast<unsigned>(std::clamp(level, 0, 3)) << (2 * k);
        }
        put(block, 2 + i, byte);
    }
}

}  // namespace anamnesis::blocks
