// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/base/half.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "anamnesis/base/check.hpp"
#include "anamnesis/base/dtype.hpp"
#include "anamnesis/base/float8.hpp"

#include "blocks/widen.hpp"

namespace anamnesis {
namespace {

struct SmallFloat {
    int exponent_bits;
    int mantissa_bits;
};
constexpr SmallFloat bf16_format{8, 7};
constexpr SmallFloat f16_format{5, 10};

/// Rounds a float64 to a 16-bit format, to nearest with ties to even. The general case.
template <SmallFloat Format>
std::uint16_t round_any(double value) noexcept {
    constexpr int bias = (1 << (Format.exponent_bits - 1)) - 1;
    constexpr int max_exponent = bias;
    constexpr int min_exponent = 1 - bias;
    constexpr std::uint32_t infinity = ((1U << Format.exponent_bits) - 1) << Format.mantissa_bits;
    const auto bits = std::bit_cast<std::uint64_t>(value);
    const auto sign = static_cast<std::uint32_t>(bits >> 63U) << 15U;
    if (std::isnan(value)) {
        const std::uint32_t quiet = 1U << (Format.mantissa_bits - 1);
        const auto payload = static_cast<std::uint32_t>((bits & 0xF'FFFF'FFFF'FFFFULL) >>
                                                        (52 - Format.mantissa_bits));
        return static_cast<std::uint16_t>(sign | infinity | quiet | payload);
    }
    const double magnitude = std::abs(value);
    if (magnitude == 0.0) {
        return static_cast<std::uint16_t>(sign);
    }
    int exponent = std::isinf(value) ? max_exponent + 2 : std::ilogb(magnitude);
    if (exponent > max_exponent) {
        return static_cast<std::uint16_t>(sign | infinity);
    }
    exponent = exponent < min_exponent ? min_exponent : exponent;
    // In units of the last place the value is exact in float64, so nearbyint rounds once.
    const double units = std::nearbyint(std::ldexp(magnitude, Format.mantissa_bits - exponent));
    const auto integer = static_cast<std::uint32_t>(units);
    // A carry out of the mantissa, out of the subnormals or into infinity adds up by itself.
    const std::uint32_t base = static_cast<std::uint32_t>(exponent - min_exponent)
                               << Format.mantissa_bits;
    return static_cast<std::uint16_t>(sign | (base + integer));
}

/// The same for the values that weights are made of, in integers: where the rounded exponent is in
/// the normal range of the format, rounding is an addition and a carry is its own exponent.
template <SmallFloat Format>
std::uint16_t round_to_small(double value) noexcept {
    constexpr int shift = 52 - Format.mantissa_bits;
    constexpr std::uint64_t bias = (1U << (Format.exponent_bits - 1)) - 1;
    constexpr std::uint64_t below_half = (1ULL << (shift - 1)) - 1;
    const auto bits = std::bit_cast<std::uint64_t>(value);
    const std::uint64_t magnitude = bits & ~(1ULL << 63U);
    const std::uint64_t rounded = (magnitude + below_half + ((magnitude >> shift) & 1U)) >> shift;
    const std::uint64_t smallest = (1023 - bias + 1) << Format.mantissa_bits;
    const std::uint64_t infinity = (1023 + bias + 1) << Format.mantissa_bits;
    const bool is_normal = (magnitude >> shift) >= smallest && rounded < infinity;
    if (!is_normal) [[unlikely]] {
        return round_any<Format>(value);
    }
    return static_cast<std::uint16_t>(((bits >> 63U) << 15U) |
                                      (rounded - ((1023 - bias) << Format.mantissa_bits)));
}

template <class Value>
Value load(std::span<const std::byte> source, std::size_t index) noexcept {
    Value value;
    std::memcpy(&value, source.data() + index * sizeof(Value), sizeof(Value));
    return value;
}

template <class Value>
void store(std::span<std::byte> target, std::size_t index, Value value) noexcept {
    std::memcpy(target.data() + index * sizeof(Value), &value, sizeof(Value));
}

std::size_t bytes_per_element(DType dtype) {
    ANAMNESIS_CHECK(is_arithmetic(dtype) || is_float8(dtype) || dtype == DType::f8_e8m0,
                    "conversion of a type that is not arithmetic");
    return element_bytes(dtype);
}

/// By a table: there are 256 values.
void widen_f8(DType dtype, std::span<const std::byte> source, std::span<double> target) {
    std::array<double, 256> values{};
    for (std::size_t bits = 0; bits < values.size(); ++bits) {
        values.at(bits) = f64_from_f8(dtype, static_cast<std::uint8_t>(bits));
    }
    for (std::size_t i = 0; i < target.size(); ++i) {
        target[i] = values[std::to_integer<std::size_t>(source[i])];
    }
}

}  // namespace

float f32_from_bf16(std::uint16_t bits) noexcept {
    return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16U);
}

float f32_from_f16(std::uint16_t bits) noexcept {
    const std::uint32_t sign = static_cast<std::uint32_t>(bits & 0x8000U) << 16U;
    const std::uint32_t exponent = (bits >> 10U) & 0x1FU;
    const std::uint32_t mantissa = bits & 0x3FFU;
    if (exponent == 0x1FU) {
        // A NaN becomes quiet, as the processor's own conversion makes it.
        const std::uint32_t quiet = mantissa != 0 ? 0x0040'0000U : 0U;
        return std::bit_cast<float>(sign | 0x7F80'0000U | quiet | (mantissa << 13U));
    }
    if (exponent == 0) {
        const float magnitude = static_cast<float>(mantissa) * 0x1.0p-24F;
        return std::bit_cast<float>(sign | std::bit_cast<std::uint32_t>(magnitude));
    }
    return std::bit_cast<float>(sign | ((exponent + 112U) << 23U) | (mantissa << 13U));
}

std::uint16_t bf16_from_f32(float value) noexcept {
    const auto bits = std::bit_cast<std::uint32_t>(value);
    if ((bits & 0x7FFF'FFFFU) > 0x7F80'0000U) {
        return static_cast<std::uint16_t>((bits >> 16U) | 0x0040U);
    }
    return static_cast<std::uint16_t>((bits + 0x7FFFU + ((bits >> 16U) & 1U)) >> 16U);
}

std::uint16_t f16_from_f32(float value) noexcept {
    return f16_from_f64(value);
}

std::uint16_t bf16_from_f64(double value) noexcept {
    return round_to_small<bf16_format>(value);
}

std::uint16_t f16_from_f64(double value) noexcept {
    return round_to_small<f16_format>(value);
}

void widen(DType dtype, std::span<const std::byte> source, std::span<double> target) {
    if (is_block_quantised(dtype)) {
        widen_blocks(dtype, source, target);
        return;
    }
    ANAMNESIS_CHECK(source.size() >= target.size() * bytes_per_element(dtype),
                    "widening from a span that is too short");
    const std::size_t count = target.size();
    switch (dtype) {
        case DType::f8_e4m3:
        case DType::f8_e5m2:
        case DType::f8_e4m3fnuz:
        case DType::f8_e5m2fnuz:
        case DType::f8_e8m0:
            widen_f8(dtype, source, target);
            return;
        case DType::f64:
            std::memcpy(target.data(), source.data(), count * sizeof(double));
            return;
        case DType::f32:
            for (std::size_t i = 0; i < count; ++i) {
                target[i] = load<float>(source, i);
            }
            return;
        case DType::bf16:
            for (std::size_t i = 0; i < count; ++i) {
                target[i] = f32_from_bf16(load<std::uint16_t>(source, i));
            }
            return;
        default:
            for (std::size_t i = 0; i < count; ++i) {
                target[i] = f32_from_f16(load<std::uint16_t>(source, i));
            }
            return;
    }
}

void narrow(DType dtype, std::span<const double> source, std::span<std::byte> target) {
    if (is_block_quantised(dtype)) {
        narrow_to_blocks(dtype, source, target);
        return;
    }
    ANAMNESIS_CHECK(target.size() >= source.size() * bytes_per_element(dtype),
                    "narrowing to a span that is too short");
    const std::size_t count = source.size();
    switch (dtype) {
        case DType::f8_e4m3:
        case DType::f8_e5m2:
        case DType::f8_e4m3fnuz:
        case DType::f8_e5m2fnuz:
            for (std::size_t i = 0; i < count; ++i) {
                target[i] = std::byte{f8_from_f64(dtype, source[i])};
            }
            return;
        case DType::f64:
            std::memcpy(target.data(), source.data(), count * sizeof(double));
            return;
        case DType::f32:
            for (std::size_t i = 0; i < count; ++i) {
                store(target, i, static_cast<float>(source[i]));
            }
            return;
        case DType::bf16:
            for (std::size_t i = 0; i < count; ++i) {
                store(target, i, bf16_from_f64(source[i]));
            }
            return;
        default:
            for (std::size_t i = 0; i < count; ++i) {
                store(target, i, f16_from_f64(source[i]));
            }
            return;
    }
}

namespace {

/// Elements that every type stores in whole blocks.
constexpr std::size_t chunk = 256;

void convert_blocks(DType from,
                    std::span<const std::byte> source,
                    DType to,
                    std::span<std::byte> target) {
    const std::size_t count = count_elements(from, source.size());
    ANAMNESIS_CHECK(count_elements(to, target.size()) >= count,
                    "converting to a span that is too short");
    const auto bytes = [](DType dtype, std::size_t elements) {
        return elements / block_elements(dtype) * block_bytes(dtype);
    };
    std::array<double, chunk> values{};
    for (std::size_t i = 0; i < count; i += chunk) {
        const std::size_t part = std::min(chunk, count - i);
        widen(
            from, source.subspan(bytes(from, i), bytes(from, part)), std::span(values).first(part));
        narrow(to, std::span(values).first(part), target.subspan(bytes(to, i), bytes(to, part)));
    }
}

}  // namespace

void convert(DType from, std::span<const std::byte> source, DType to, std::span<std::byte> target) {
    if (from != to && (is_block_quantised(from) || is_block_quantised(to))) {
        convert_blocks(from, source, to, target);
        return;
    }
    if (from == to) {
        ANAMNESIS_CHECK(target.size() >= source.size(), "copying to a span that is too short");
        std::memcpy(target.data(), source.data(), source.size());
        return;
    }
    const std::size_t count = source.size() / bytes_per_element(from);
    ANAMNESIS_CHECK(target.size() >= count * bytes_per_element(to),
                    "converting to a span that is too short");
    if (from == DType::bf16 && to == DType::f32) {
        for (std::size_t i = 0; i < count; ++i) {
            store(target, i, static_cast<std::uint32_t>(load<std::uint16_t>(source, i)) << 16U);
        }
        return;
    }
    for (std::size_t i = 0; i < count; ++i) {
        double value = 0.0;
        widen(from, source.subspan(i * bytes_per_element(from)), {&value, 1});
        narrow(to, {&value, 1}, target.subspan(i * bytes_per_element(to)));
    }
}

}  // namespace anamnesis
