// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <span>

#include "anamnesis/base/half.hpp"

/// What the blocks of GGUF are made of. Numbers are little-endian.
namespace anamnesis::blocks {

using Bytes = std::span<const std::byte>;
using Target = std::span<std::byte>;

inline unsigned at(Bytes bytes, std::size_t index) {
    return std::to_integer<unsigned>(bytes[index]);
}
inline int signed_at(Bytes bytes, std::size_t index) {
    return static_cast<std::int8_t>(std::to_integer<std::uint8_t>(bytes[index]));
}
inline float half_at(Bytes bytes, std::size_t offset) {
    return f32_from_f16(
        static_cast<std::uint16_t>(at(bytes, offset) | at(bytes, offset + 1) << 8U));
}
inline void put(Target bytes, std::size_t index, unsigned value) {
    bytes[index] = static_cast<std::byte>(value & 0xFFU);
}
/// Rounds to float16 and gives what was stored.
inline float put_half(Target bytes, std::size_t offset, float value) {
    const std::uint16_t bits = f16_from_f32(value);
    put(bytes, offset, bits);
    put(bytes, offset + 1, bits >> 8U);
    return f32_from_f16(bits);
}

/// The nearest integer, ties to even, for magnitudes up to 2^22; else the low bits of the sum, as
/// the reference has it.
inline int round_to_even(float value) {
    const float sum = value + 12'582'912.0F;
    return static_cast<int>(std::bit_cast<std::uint32_t>(sum) & 0x007F'FFFFU) - 0x0040'0000;
}

/// Truncates as the reference's cast to eight bits does where it is defined, and on x86 where it is
/// not: what no 32 bits hold becomes 0.
inline int truncate_to_8_bits(float value) {
    constexpr float limit = 2'147'483'648.0F;
    const std::int32_t whole = value > -limit && value < limit
                                   ? static_cast<std::int32_t>(value)
                                   : std::numeric_limits<std::int32_t>::min();
    return static_cast<std::int8_t>(static_cast<std::uint32_t>(whole) & 0xFFU);
}

/// 1 / value; 0 where it is 0.
inline float invert(float value) {
    return value != 0.0F ? 1.0F / value : 0.0F;
}

inline constexpr std::size_t super_block = 256;

/// The values of IQ4_NL and IQ4_XS.
inline constexpr std::array<int, 16> iq4_levels{
    -127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};
/// Twice the values of E2M1.
inline constexpr std::array<int, 16> e2m1_levels{
    0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

/// Half the power of two that an E8M0 scale stands for.
inline float half_of_e8m0(unsigned exponent) {
    const std::uint32_t bits = exponent < 2 ? 0x0020'0000U << exponent : (exponent - 1) << 23U;
    return std::bit_cast<float>(bits);
}

/// Scale and minimum of sub-block `index` of Q4_K and Q5_K.
struct ScaleAndMin {
    unsigned scale = 0;
    unsigned min = 0;
};
inline ScaleAndMin read_scale_and_min(Bytes packed, std::size_t index) {
    if (index < 4) {
        return {at(packed, index) & 63U, at(packed, index + 4) & 63U};
    }
    return {(at(packed, index + 4) & 15U) | (at(packed, index - 4) >> 6U) << 4U,
            (at(packed, index + 4) >> 4U) | (at(packed, index) >> 6U) << 4U};
}

/// Scale of sub-block `index` of Q3_K, from -32 to 31.
inline int read_q3_scale(Bytes packed, std::size_t index) {
    const unsigned low = index < 8 ? at(packed, index) & 15U : at(packed, index - 8) >> 4U;
    const unsigned high = at(packed, 8 + index % 4) >> (2 * (index / 4)) & 3U;
    return static_cast<int>(low | high << 4U) - 32;
}

}  // namespace anamnesis::blocks
