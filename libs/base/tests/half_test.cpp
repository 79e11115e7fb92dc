// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/base/half.hpp"

#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <span>

#include <gtest/gtest.h>

#include "anamnesis/base/random.hpp"

namespace anamnesis {
namespace {

TEST(Half, RoundTripsEveryBf16Pattern) {
    for (std::uint32_t bits = 0; bits <= 0xFFFF; ++bits) {
        const float value = f32_from_bf16(static_cast<std::uint16_t>(bits));
        const std::uint32_t expected = std::isnan(value) ? bits | 0x40U : bits;
        EXPECT_EQ(bf16_from_f32(value), expected);
        EXPECT_EQ(bf16_from_f64(value), expected);
    }
}

TEST(Half, RoundTripsEveryF16Pattern) {
    for (std::uint32_t bits = 0; bits <= 0xFFFF; ++bits) {
        const float value = f32_from_f16(static_cast<std::uint16_t>(bits));
        const std::uint32_t expected = std::isnan(value) ? bits | 0x200U : bits;
        EXPECT_EQ(f16_from_f32(value), expected);
        EXPECT_EQ(f16_from_f64(value), expected);
    }
}

TEST(Half, WidensF16AsTheCompilerDoes) {
    for (std::uint32_t bits = 0; bits <= 0xFFFF; ++bits) {
        const auto reference =
            static_cast<float>(std::bit_cast<_Float16>(static_cast<std::uint16_t>(bits)));
        EXPECT_EQ(std::bit_cast<std::uint32_t>(f32_from_f16(static_cast<std::uint16_t>(bits))),
                  std::bit_cast<std::uint32_t>(reference));
    }
}

TEST(Half, NarrowsRandomFloat64ToF16AsTheCompilerDoes) {
    Random random(7);
    for (int i = 0; i < 200'000; ++i) {
        const double value =
            std::ldexp(random.uniform() - 0.5, static_cast<int>(random.below(60)) - 40);
        EXPECT_EQ(f16_from_f64(value), std::bit_cast<std::uint16_t>(static_cast<_Float16>(value)));
    }
}

TEST(Half, BreaksTiesToEven) {
    EXPECT_EQ(bf16_from_f32(std::bit_cast<float>(0x3F808000U)), 0x3F80);
    EXPECT_EQ(bf16_from_f32(std::bit_cast<float>(0x3F818000U)), 0x3F82);
    EXPECT_EQ(bf16_from_f64(std::bit_cast<float>(0x3F808000U)), 0x3F80);
    EXPECT_EQ(bf16_from_f64(std::bit_cast<float>(0x3F818000U)), 0x3F82);
}

TEST(Half, DoesNotRoundTwice) {
    // Just above a tie of bf16: by way of f32 it would become the tie and round down.
    const double value = 1.0 + 0x1.0p-8 + 0x1.0p-40;
    EXPECT_EQ(bf16_from_f64(value), 0x3F81);
    EXPECT_EQ(bf16_from_f32(static_cast<float>(value)), 0x3F80);
}

TEST(Half, OverflowsToInfinityAndKeepsTheSign) {
    EXPECT_EQ(bf16_from_f64(std::numeric_limits<double>::max()), 0x7F80);
    EXPECT_EQ(bf16_from_f64(-std::numeric_limits<double>::infinity()), 0xFF80);
    EXPECT_EQ(f16_from_f64(65520.0), 0x7C00);
    EXPECT_EQ(f16_from_f64(65519.0), 0x7BFF);
    EXPECT_EQ(bf16_from_f64(-0.0), 0x8000);
}

TEST(Half, KeepsSubnormals) {
    EXPECT_EQ(bf16_from_f64(std::ldexp(1.0, -133)), 0x0001);
    EXPECT_EQ(bf16_from_f64(std::ldexp(1.0, -134)), 0x0000);
    EXPECT_EQ(bf16_from_f64(std::ldexp(1.5, -134)), 0x0001);
    EXPECT_EQ(f16_from_f64(std::ldexp(1.0, -24)), 0x0001);
}

TEST(Half, ConvertsBf16ToF32BitForBit) {
    const std::array<std::uint16_t, 3> source{0x7FA5, 0x8000, 0x0001};
    std::array<std::uint32_t, 3> target{};
    convert(DType::bf16,
            std::as_bytes(std::span(source)),
            DType::f32,
            std::as_writable_bytes(std::span(target)));
    EXPECT_EQ(target[0], 0x7FA50000U);
    EXPECT_EQ(target[1], 0x80000000U);
    EXPECT_EQ(target[2], 0x00010000U);
}

}  // namespace
}  // namespace anamnesis
