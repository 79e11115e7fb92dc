// SPDX-License-Identifier: Apache-2.0
#include "blocks/dequantise.hpp"

#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>

#include "anamnesis/base/block_values.hpp"
#include "anamnesis/base/check.hpp"
#include "anamnesis/base/dtype.hpp"
#include "anamnesis/base/error.hpp"
#include "anamnesis/base/text.hpp"

#include "blocks/fields.hpp"

namespace anamnesis {
namespace blocks {
namespace {

/// The half of 32 values that lies in the low or the high four bits of 16 bytes.
unsigned read_nibble(Bytes packed, std::size_t index) {
    const unsigned both = at(packed, index % 16);
    return index < 16 ? both & 15U : both >> 4U;
}

unsigned read_fifth_bit(Bytes high, std::size_t index) {
    return (at(high, index / 8) >> (index % 8) & 1U) << 4U;
}

void dequantise_q4(Bytes block, std::span<float> values, bool has_min) {
    const float d = half_at(block, 0);
    const Bytes packed = block.last(16);
    for (std::size_t i = 0; i < values.size(); ++i) {
        const int level = static_cast<int>(read_nibble(packed, i));
        values[i] = has_min ? static_cast<float>(level) * d + half_at(block, 2)
                            : static_cast<float>(level - 8) * d;
    }
}

void dequantise_q5(Bytes block, std::span<float> values, bool has_min) {
    const float d = half_at(block, 0);
    const Bytes high = block.subspan(has_min ? 4 : 2, 4);
    const Bytes packed = block.last(16);
    for (std::size_t i = 0; i < values.size(); ++i) {
        const int level = static_cast<int>(read_nibble(packed, i) | read_fifth_bit(high, i));
        values[i] = has_min ? static_cast<float>(level) * d + half_at(block, 2)
                            : static_cast<float>(level - 16) * d;
    }
}

/// `begin` is where the levels begin, after the scale and whatever comes with it.
void dequantise_q8(Bytes block, std::span<float> values, std::size_t begin) {
    const float d = half_at(block, 0);
    for (std::size_t i = 0; i < values.size(); ++i) {
        values[i] = static_cast<float>(signed_at(block, begin + i)) * d;
    }
}

void dequantise_iq4_nl(Bytes block, std::span<float> values) {
    const float d = half_at(block, 0);
    for (std::size_t i = 0; i < values.size(); ++i) {
        values[i] = d * static_cast<float>(iq4_levels.at(read_nibble(block.last(16), i)));
    }
}

void dequantise_iq4_xs(Bytes block, std::span<float> values) {
    const float d = half_at(block, 0);
    const unsigned high = at(block, 2) | at(block, 3) << 8U;
    for (std::size_t part = 0; part < 8; ++part) {
        const unsigned low = at(block, 4 + part / 2) >> (4 * (part % 2)) & 15U;
        const int stored = static_cast<int>(low | (high >> (2 * part) & 3U) << 4U) - 32;
        const float scale = d * static_cast<float>(stored);
        const Bytes packed = block.subspan(8 + 16 * part, 16);
        for (std::size_t i = 0; i < 32; ++i) {
            values[32 * part + i] =
                scale * static_cast<float>(iq4_levels.at(read_nibble(packed, i)));
        }
    }
}

/// Digit `digit` (0: the most significant) of five of base 3, which a byte holds as a fraction.
int read_trit(unsigned byte, std::size_t digit) {
    for (std::size_t i = 0; i < digit; ++i) {
        byte = byte * 3U & 0xFFU;
    }
    return static_cast<int>(byte * 3U >> 8U);
}

void dequantise_tq1_0(Bytes block, std::span<float> values) {
    const float d = half_at(block, 52);
    const auto fill =
        [&](std::size_t first, std::size_t width, std::size_t begin, std::size_t end) {
            for (std::size_t i = begin; i < end; ++i) {
                const std::size_t within = i - begin;
                const int trit = read_trit(at(block, first + within % width), within / width);
                values[i] = static_cast<float>(trit - 1) * d;
            }
        };
    fill(0, 32, 0, 160);
    fill(32, 16, 160, 240);
    fill(48, 4, 240, 256);
}

void dequantise_tq2_0(Bytes block, std::span<float> values) {
    const float d = half_at(block, 64);
    for (std::size_t i = 0; i < super_block; ++i) {
        const unsigned shift = 2U * static_cast<unsigned>(i % 128 / 32);
        const int level = static_cast<int>(at(block, i / 128 * 32 + i % 32) >> shift & 3U);
        values[i] = static_cast<float>(level - 1) * d;
    }
}

void dequantise_mxfp4(Bytes block, std::span<float> values) {
    const float scale = half_of_e8m0(at(block, 0));
    for (std::size_t i = 0; i < values.size(); ++i) {
        values[i] = static_cast<float>(e2m1_levels.at(read_nibble(block.last(16), i))) * scale;
    }
}

/// An unsigned E4M3, halved because the levels are doubled.
float half_of_ue4m3(unsigned byte) {
    if (byte == 0 || byte == 0x7FU) {
        return 0.0F;
    }
    const unsigned exponent = byte >> 3U & 15U;
    const auto mantissa = static_cast<float>(byte & 7U);
    const float value =
        exponent == 0 ? mantissa * 0x1p-9F
                      : (1.0F + mantissa / 8.0F) * std::bit_cast<float>((exponent + 120U) << 23U);
    return value * 0.5F;
}

void dequantise_nvfp4(Bytes block, std::span<float> values) {
    for (std::size_t i = 0; i < values.size(); ++i) {
        const std::size_t part = i / 16;
        const unsigned both = at(block, 4 + 8 * part + i % 8);
        const unsigned nibble = i % 16 < 8 ? both & 15U : both >> 4U;
        values[i] = static_cast<float>(e2m1_levels.at(nibble)) * half_of_ue4m3(at(block, part));
    }
}

void dequantise_q1_0(Bytes block, std::span<float> values) {
    const float d = half_at(block, 0);
    for (std::size_t i = 0; i < values.size(); ++i) {
        values[i] = (at(block, 2 + i / 8) >> (i % 8) & 1U) != 0 ? d : -d;
    }
}

void dequantise_q2_0(Bytes block, std::span<float> values) {
    const float d = half_at(block, 0);
    for (std::size_t i = 0; i < values.size(); ++i) {
        const int level = static_cast<int>(at(block, 2 + i / 4) >> (2 * (i % 4)) & 3U);
        values[i] = static_cast<float>(level - 1) * d;
    }
}

void dequantise_block(DType dtype, Bytes block, std::span<float> values) {
    switch (dtype) {
        using enum DType;
        case q4_0:
        case q4_1:
            return dequantise_q4(block, values, dtype == q4_1);
        case q5_0:
        case q5_1:
            return dequantise_q5(block, values, dtype == q5_1);
        case q8_0:
            return dequantise_q8(block, values, 2);
        case q8_1:
            return dequantise_q8(block, values, 4);
        case q2_k:
            return dequantise_q2_k(block, values);
        case q3_k:
            return dequantise_q3_k(block, values);
        case q4_k:
            return dequantise_q4_k(block, values);
        case q5_k:
            return dequantise_q5_k(block, values);
        case q6_k:
            return dequantise_q6_k(block, values);
        case q8_k:
            return dequantise_q8_k(block, values);
        case iq4_nl:
            return dequantise_iq4_nl(block, values);
        case iq4_xs:
            return dequantise_iq4_xs(block, values);
        case tq1_0:
            return dequantise_tq1_0(block, values);
        case tq2_0:
            return dequantise_tq2_0(block, values);
        case mxfp4:
            return dequantise_mxfp4(block, values);
        case nvfp4:
            return dequantise_nvfp4(block, values);
        case q1_0:
            return dequantise_q1_0(block, values);
        default:
            return dequantise_q2_0(block, values);
    }
}

}  // namespace
}  // namespace blocks

bool can_dequantise(DType dtype) noexcept {
    switch (dtype) {
        using enum DType;
        case iq1_s:
        case iq1_m:
        case iq2_xxs:
        case iq2_xs:
        case iq2_s:
        case iq3_xxs:
        case iq3_s:
            return false;
        default:
            return is_block_quantised(dtype);
    }
}

void dequantise(DType dtype, std::span<const std::byte> blocks, std::span<float> values) {
    if (!can_dequantise(dtype)) {
        throw Error(ErrorKind::unsupported,
                    format("values of type {} cannot be read here: its codebook is not part of "
                           "this program; rows of it are copied as they are",
                           to_string(dtype)));
    }
    const std::size_t elements = block_elements(dtype);
    const std::size_t bytes = block_bytes(dtype);
    ANAMNESIS_CHECK(
        values.size() % elements == 0 && blocks.size() == values.size() / elements * bytes,
        "dequantising whole blocks");
    for (std::size_t i = 0; i < values.size() / elements; ++i) {
        blocks::dequantise_block(
            dtype, blocks.subspan(i * bytes, bytes), values.subspan(i * elements, elements));
    }
}

}  // namespace anamnesis
