// SPDX-License-Identifier: Apache-2.0
#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>

#include "blocks/dequantise.hpp"
#include "blocks/fields.hpp"

namespace anamnesis::blocks {
namespace {

constexpr std::size_t half_block = super_block / 2;

/// Two bits of each of 256 values: in each half 32 bytes hold four runs of 32, two bits a run.
unsigned read_two_bits(Bytes packed, std::size_t index) {
    const std::size_t run = index % half_block / 32;
    return at(packed, index / half_block * 32 + index % 32) >> (2 * run) & 3U;
}

}  // namespace

void dequantise_q2_k(Bytes block, std::span<float> values) {
    const Bytes scales = block.first(16);
    const Bytes packed = block.subspan(16, 64);
    const float d = half_at(block, 80);
    const float d_min = half_at(block, 82);
    for (std::size_t i = 0; i < super_block; ++i) {
        const unsigned both = at(scales, i / 16);
        const float scale = d * static_cast<float>(both & 15U);
        const float min = d_min * static_cast<float>(both >> 4U);
        values[i] = scale * static_cast<float>(read_two_bits(packed, i)) - min;
    }
}

void dequantise_q3_k(Bytes block, std::span<float> values) {
    const Bytes high = block.first(32);
    const Bytes packed = block.subspan(32, 64);
    const Bytes scales = block.subspan(96, 12);
    const float d = half_at(block, 108);
    for (std::size_t i = 0; i < super_block; ++i) {
        const float scale = d * static_cast<float>(read_q3_scale(scales, i / 16));
        const bool is_high = (at(high, i % 32) >> (i / 32) & 1U) != 0;
        const int level = static_cast<int>(read_two_bits(packed, i)) - (is_high ? 0 : 4);
        values[i] = scale * static_cast<float>(level);
    }
}

void dequantise_q4_k(Bytes block, std::span<float> values) {
    const float d = half_at(block, 0);
    const float d_min = half_at(block, 2);
    for (std::size_t pair = 0; pair < 4; ++pair) {
        const std::byte* packed = block.data() + 16 + 32 * pair;
        float* const low = values.data() + 64 * pair;
        float* const high = low + 32;
        const ScaleAndMin first = read_scale_and_min(block.subspan(4, 12), 2 * pair);
        const ScaleAndMin second = read_scale_and_min(block.subspan(4, 12), 2 * pair + 1);
        const float low_scale = d * static_cast<float>(first.scale);
        const float low_min = d_min * static_cast<float>(first.min);
        const float high_scale = d * static_cast<float>(second.scale);
        const float high_min = d_min * static_cast<float>(second.min);
        // Signed, which every processor converts at once; the values are below 16.
        for (std::size_t i = 0; i < 32; ++i) {
            low[i] = low_scale * static_cast<float>(std::to_integer<int>(packed[i]) & 15) - low_min;
        }
        for (std::size_t i = 0; i < 32; ++i) {
            high[i] =
                high_scale * static_cast<float>(std::to_integer<int>(packed[i]) >> 4) - high_min;
        }
    }
}

void dequantise_q5_k(Bytes block, std::span<float> values) {
    const float d = half_at(block, 0);
    const float d_min = half_at(block, 2);
    const std::byte* const high = block.data() + 16;
    for (std::size_t part = 0; part < 8; ++part) {
        const std::byte* const packed = block.data() + 48 + 32 * (part / 2);
        float* const target = values.data() + 32 * part;
        const ScaleAndMin stored = read_scale_and_min(block.subspan(4, 12), part);
        const float scale = d * static_cast<float>(stored.scale);
        const float min = d_min * static_cast<float>(stored.min);
        const int shift = part % 2 == 0 ? 0 : 4;
        const int bit = static_cast<int>(part);
        for (std::size_t i = 0; i < 32; ++i) {
            const int level = (std::to_integer<int>(packed[i]) >> shift & 15) +
                              16 * (std::to_integer<int>(high[i]) >> bit & 1);
            target[i] = scale * static_cast<float>(level) - min;
        }
    }
}

void dequantise_q6_k(Bytes block, std::span<float> values) {
    const float d = half_at(block, 208);
    for (std::size_t half = 0; half < 2; ++half) {
        const Bytes low = block.subspan(64 * half, 64);
        const Bytes high = block.subspan(128 + 32 * half, 32);
        for (std::size_t i = 0; i < half_block; ++i) {
            const std::size_t quarter = i / 32;
            const unsigned both = at(low, i % 64);
            const unsigned four = quarter < 2 ? both & 15U : both >> 4U;
            const unsigned two = at(high, i % 32) >> (2 * quarter) & 3U;
            const int level = static_cast<int>(four | two << 4U) - 32;
            const auto scale = static_cast<float>(signed_at(block, 192 + 8 * half + i / 16));
            values[half * half_block + i] = d * scale * static_cast<float>(level);
        }
    }
}

void dequantise_q8_k(Bytes block, std::span<float> values) {
    std::uint32_t bits = 0;
    for (std::size_t i = 0; i < 4; ++i) {
        bits |= at(block, i) << (8 * i);
    }
    const auto d = std::bit_cast<float>(bits);
    for (std::size_t i = 0; i < super_block; ++i) {
        values[i] = d * static_cast<float>(signed_at(block, 4 + i));
    }
}

}  // namespace anamnesis::blocks
