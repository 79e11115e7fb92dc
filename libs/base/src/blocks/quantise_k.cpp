// SPDX-License-Identifier: Apache-2.0
// Q2_K to Q6_K: blocks of 256 whose sub-blocks have scales that are quantised themselves.
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

using LevelArray = std::array<int, super_block>;

Levels part_of(LevelArray& levels, std::size_t part, std::size_t size) {
    return Levels(levels).subspan(part * size, size);
}

unsigned bits(int level) {
    return static_cast<unsigned>(level);
}

/// Two bits of each level: in each half four runs of 32 share 32 bytes.
void put_two_bits(const LevelArray& levels, Target packed) {
    for (std::size_t i = 0; i < 64; ++i) {
        const std::size_t first = i / 32 * 128 + i % 32;
        unsigned byte = 0;
        for (std::size_t run = 0; run < 4; ++run) {
            byte |= (bits(levels.at(first + 32 * run)) & 3U) << (2 * run);
        }
        put(packed, i, byte);
    }
}

/// Levels under the scale that was stored; those of the search where it is 0.
void round_again(Values values, float scale, float min, int most, Levels levels) {
    if (scale == 0.0F) {
        return;
    }
    for (std::size_t i = 0; i < values.size(); ++i) {
        levels[i] = std::clamp(round_to_even((values[i] + min) / scale), 0, most);
    }
}

void round_signed_again(Values values, float scale, int half, Levels levels) {
    if (scale == 0.0F) {
        return;
    }
    for (std::size_t i = 0; i < values.size(); ++i) {
        levels[i] = std::clamp(round_to_even(values[i] / scale), -half, half - 1) + half;
    }
}

/// Scales and minima of the sub-blocks of one block, and levels of both.
template <std::size_t parts>
struct Ranges {
    std::array<float, parts> scales{};
    std::array<float, parts> mins{};
    std::array<int, parts> scale_levels{};
    std::array<int, parts> min_levels{};
    float scale = 0.0F;  ///< of scale_levels
    float min = 0.0F;    ///< of min_levels
};

/// Without weights the largest gets the highest level. Gives the scale of the levels.
template <std::size_t parts>
float level_plainly(const std::array<float, parts>& numbers,
                    int most,
                    std::array<int, parts>& levels) {
    const float largest = std::max(0.0F, std::ranges::max(numbers));
    const float inverse = largest > 0.0F ? static_cast<float>(most) / largest : 0.0F;
    for (std::size_t i = 0; i < parts; ++i) {
        levels.at(i) = std::min(most, round_to_even(inverse * numbers.at(i)));
    }
    return largest / static_cast<float>(most);
}

/// Fits every sub-block. With importance `importance_mean` is that of squares which the reference
/// adds to each square.
template <std::size_t parts>
Ranges<parts> fit_ranges(Values values,
                         Values importance,
                         float importance_mean,
                         int most_scale,
                         const RangeSearch& plain,
                         LevelArray& levels) {
    constexpr std::size_t size = super_block / parts;
    Ranges<parts> ranges;
    std::array<float, parts> sums{};
    std::array<float, size> weights{};
    RangeSearch search = plain;
    if (!importance.empty()) {
        search = {.most = plain.most, .first = -0.9F, .step = 0.05F, .steps = 36};
    }
    for (std::size_t part = 0; part < parts; ++part) {
        const Values own = values.subspan(part * size, size);
        if (!importance.empty()) {
            weigh_by_importance(
                own, importance.subspan(part * size, size), importance_mean, weights);
        } else {
            // Q2_K weighs by magnitude alone.
            const float root =
                plain.is_absolute ? 0.0F : std::sqrt(add_squares(own) / static_cast<float>(size));
            for (std::size_t i = 0; i < size; ++i) {
                weights.at(i) = root + std::fabs(own[i]);
            }
        }
        for (const float weight : weights) {
            sums.at(part) += weight;
        }
        const ScaleFit fit = search_range(own, weights, search, part_of(levels, part, size));
        ranges.scales.at(part) = fit.scale;
        ranges.mins.at(part) = fit.min;
    }
    if (importance.empty()) {
        ranges.scale = level_plainly(ranges.scales, most_scale, ranges.scale_levels);
        ranges.min = level_plainly(ranges.mins, most_scale, ranges.min_levels);
    } else {
        ranges.scale = search_positive(ranges.scales, most_scale, sums, ranges.scale_levels);
        ranges.min = search_positive(ranges.mins, most_scale, sums, ranges.min_levels);
    }
    return ranges;
}

/// Six bits for each scale and minimum of eight sub-blocks, in twelve bytes.
void put_scales_and_mins(const Ranges<8>& ranges, Target packed) {
    for (std::size_t i = 0; i < 4; ++i) {
        const unsigned scale = bits(ranges.scale_levels.at(i + 4));
        const unsigned min = bits(ranges.min_levels.at(i + 4));
        put(packed, i, bits(ranges.scale_levels.at(i)) | (scale >> 4U) << 6U);
        put(packed, i + 4, bits(ranges.min_levels.at(i)) | (min >> 4U) << 6U);
        put(packed, i + 8, (scale & 15U) | (min & 15U) << 4U);
    }
}

/// The part that Q4_K and Q5_K share: scales, minima and levels from 0 to `plain.most`.
LevelArray fit_k(Values values, Values importance, const RangeSearch& plain, Target block) {
    LevelArray levels{};
    const float mean = 2.0F * add_squares(values) / static_cast<float>(super_block);
    const Ranges<8> ranges = fit_ranges<8>(values, importance, mean, 63, plain, levels);
    const float scale = put_half(block, 0, ranges.scale);
    const float min = put_half(block, 2, ranges.min);
    put_scales_and_mins(ranges, block.subspan(4, 12));
    for (std::size_t part = 0; part < 8; ++part) {
        round_again(values.subspan(part * 32, 32),
                    scale * static_cast<float>(ranges.scale_levels.at(part)),
                    min * static_cast<float>(ranges.min_levels.at(part)),
                    plain.most,
                    part_of(levels, part, 32));
    }
    return levels;
}

void put_nibbles(const LevelArray& levels, Target packed) {
    for (std::size_t i = 0; i < 128; ++i) {
        const std::size_t first = i / 32 * 64 + i % 32;
        put(packed, i, (bits(levels.at(first)) & 15U) | (bits(levels.at(first + 32)) & 15U) << 4U);
    }
}

/// Six bits for each scale of Q3_K: four low, two high.
void put_q3_scales(const std::array<int, 16>& levels, Target packed) {
    for (std::size_t i = 0; i < 8; ++i) {
        put(packed, i, (bits(levels.at(i)) & 15U) | (bits(levels.at(i + 8)) & 15U) << 4U);
    }
    for (std::size_t i = 0; i < 4; ++i) {
        unsigned byte = 0;
        for (std::size_t k = 0; k < 4; ++k) {
            byte |= bits(levels.at(i + 4 * k)) >> 4U << (2 * k);
        }
        put(packed, 8 + i, byte);
    }
}

/// Levels of the scales of Q3_K, and the scale of these.
float fit_q3_scales(Values values,
                    Values importance,
                    LevelArray& levels,
                    std::array<int, 16>& scale_levels) {
    std::array<float, 16> scales{};
    std::array<float, 16> sums{};
    if (importance.empty()) {
        for (std::size_t part = 0; part < 16; ++part) {
            scales.at(part) =
                improve_signed(values.subspan(part * 16, 16), 4, part_of(levels, part, 16));
        }
        const float extreme = find_extreme(scales);
        if (extreme == 0.0F) {
            return 0.0F;
        }
        const float inverse = -32.0F / extreme;
        for (std::size_t part = 0; part < 16; ++part) {
            // The reference narrows to eight bits before it clamps.
            const int level =
                truncate_to_8_bits(static_cast<float>(round_to_even(inverse * scales.at(part))));
            scale_levels.at(part) = std::clamp(level, -32, 31) + 32;
        }
        return 1.0F / inverse;
    }
    const float mean = 2.0F * add_squares(values) / static_cast<float>(super_block);
    std::array<float, 16> weights{};
    for (std::size_t part = 0; part < 16; ++part) {
        const Values own = values.subspan(part * 16, 16);
        weigh_by_importance(own, importance.subspan(part * 16, 16), mean, weights);
        for (const float weight : weights) {
            sums.at(part) += weight;
        }
        scales.at(part) = search_signed(own, 4, weights, part_of(levels, part, 16));
    }
    return search_signed(scales, 32, sums, scale_levels);
}

}  // namespace

void quantise_q2_k(Values values, Values weights, Target block) {
    LevelArray levels{};
    const float mean = add_squares(values) / static_cast<float>(super_block);
    const RangeSearch plain{
        .most = 3, .first = -0.5F, .step = 0.1F, .steps = 15, .is_absolute = true};
    const Ranges<16> ranges = fit_ranges<16>(values, weights, mean, 15, plain, levels);
    const float scale = put_half(block, 80, ranges.scale);
    const float min = put_half(block, 82, ranges.min);
    for (std::size_t part = 0; part < 16; ++part) {
        const int scale_level = ranges.scale_levels.at(part);
        const int min_level = ranges.min_levels.at(part);
        put(block, part, bits(scale_level) | bits(min_level) << 4U);
        round_again(values.subspan(part * 16, 16),
                    scale * static_cast<float>(scale_level),
                    min * static_cast<float>(min_level),
                    3,
                    part_of(levels, part, 16));
    }
    put_two_bits(levels, block.subspan(16, 64));
}

void quantise_q3_k(Values values, Values weights, Target block) {
    LevelArray levels{};
    std::array<int, 16> scale_levels{};
    const float stored = put_half(block, 108, fit_q3_scales(values, weights, levels, scale_levels));
    const Target packed = block.subspan(96, 12);
    put_q3_scales(scale_levels, packed);
    for (std::size_t part = 0; part < 16; ++part) {
        const auto scale = static_cast<float>(read_q3_scale(packed, part));
        round_signed_again(
            values.subspan(part * 16, 16), stored * scale, 4, part_of(levels, part, 16));
    }
    for (std::size_t i = 0; i < 32; ++i) {
        unsigned byte = 0;
        for (std::size_t run = 0; run < 8; ++run) {
            byte |= (levels.at(32 * run + i) > 3 ? 1U : 0U) << run;
        }
        put(block, i, byte);
    }
    put_two_bits(levels, block.subspan(32, 64));
}

void quantise_q4_k(Values values, Values weights, Target block) {
    const RangeSearch plain{.most = 15, .first = -1.0F, .step = 0.1F, .steps = 20};
    const LevelArray levels = fit_k(values, weights, plain, block);
    put_nibbles(levels, block.subspan(16, 128));
}

void quantise_q5_k(Values values, Values weights, Target block) {
    const RangeSearch plain{.most = 31, .first = -0.5F, .step = 0.1F, .steps = 15};
    const LevelArray levels = fit_k(values, weights, plain, block);
    for (std::size_t i = 0; i < 32; ++i) {
        unsigned byte = 0;
        for (std::size_t part = 0; part < 8; ++part) {
            byte |= (levels.at(32 * part + i) > 15 ? 1U : 0U) << part;
        }
        put(block, 16 + i, byte);
    }
    put_nibbles(levels, block.subspan(48, 128));
}

void quantise_q6_k(Values values, Values weights, Target block) {
    LevelArray levels{};
    std::array<float, 16> scales{};
    for (std::size_t part = 0; part < 16; ++part) {
        scales.at(part) = search_signed(values.subspan(part * 16, 16),
                                        32,
                                        weights.empty() ? weights : weights.subspan(part * 16, 16),
                                        part_of(levels, part, 16));
    }
    const float extreme = find_extreme(scales);
    if (std::fabs(extreme) < smallest_group) {
        std::ranges::fill(block, std::byte{0});
        return;
    }
    const float inverse = -128.0F / extreme;
    const float stored = put_half(block, 208, 1.0F / inverse);
    for (std::size_t part = 0; part < 16; ++part) {
        const int scale = truncate_to_8_bits(
            static_cast<float>(std::min(127, round_to_even(inverse * scales.at(part)))));
        put(block, 192 + part, bits(scale));
        round_signed_again(values.subspan(part * 16, 16),
                           stored * static_cast<float>(scale),
                           32,
                           part_of(levels, part, 16));
    }
    for (std::size_t half = 0; half < 2; ++half) {
        const auto level = [&](std::size_t i) { return bits(levels.at(128 * half + i)); };
        for (std::size_t i = 0; i < 64; ++i) {
            put(block, 64 * half + i, (level(i) & 15U) | (level(i + 64) & 15U) << 4U);
        }
        for (std::size_t i = 0; i < 32; ++i) {
            put(block,
                128 + 32 * half + i,
                level(i) >> 4U | level(i + 32) >> 4U << 2U | level(i + 64) >> 4U << 4U |
                    level(i + 96) >> 4U << 6U);
        }
    }
}

}  // namespace anamnesis::blocks
