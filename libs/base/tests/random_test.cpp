// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/base/random.hpp"

#include <cstdint>

#include <gtest/gtest.h>

namespace anamnesis {
namespace {

// Source: the first numbers of splitmix64.c (Vigna, prng.di.unimi.it) for seeds 0 and 1234567.
TEST(Random, GivesTheNumbersOfSplitMix64) {
    Random zero(0);
    EXPECT_EQ(zero.next(), 0xE220A8397B1DCDAFULL);
    EXPECT_EQ(zero.next(), 0x6E789E6AA1B965F4ULL);
    EXPECT_EQ(zero.next(), 0x06C45D188009454FULL);
    Random other(1'234'567);
    EXPECT_EQ(other.next(), 6'457'827'717'110'365'317ULL);
    EXPECT_EQ(other.next(), 3'203'168'211'198'807'973ULL);
}

TEST(Random, CanRunWhileCompiling) {
    static_assert(Random(0).next() == 0xE220A8397B1DCDAFULL);
    static_assert(Random(0).below(1) == 0);
}

TEST(Random, StaysBelowTheBoundAndReachesEveryNumber) {
    Random random(3);
    std::uint32_t seen = 0;
    for (int i = 0; i < 1000; ++i) {
        const std::uint64_t number = random.below(7);
        ASSERT_LT(number, 7U);
        seen |= 1U << number;
    }
    EXPECT_EQ(seen, 0x7FU);
}

TEST(Random, DrawsUniformNumbersBelowOne) {
    Random random(4);
    double sum = 0.0;
    for (int i = 0; i < 10'000; ++i) {
        const double number = random.uniform();
        ASSERT_GE(number, 0.0);
        ASSERT_LT(number, 1.0);
        sum += number;
    }
    EXPECT_NEAR(sum / 10'000, 0.5, 0.02);
}

TEST(Random, DrawsNormalNumbersOfMeanZeroAndVarianceOne) {
    Random random(5);
    double sum = 0.0;
    double squares = 0.0;
    for (int i = 0; i < 10'000; ++i) {
        const double number = random.normal();
        sum += number;
        squares += number * number;
    }
    EXPECT_NEAR(sum / 10'000, 0.0, 0.05);
    EXPECT_NEAR(squares / 10'000, 1.0, 0.05);
}

}  // namespace
}  // namespace anamnesis
