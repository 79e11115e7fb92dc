// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/train/schedule.hpp"

#include <cstdint>

#include <gtest/gtest.h>

#include "anamnesis/base/error.hpp"

namespace anamnesis::train {
namespace {

TEST(ASchedule, RisesToThePeakAndEndsExactlyAtTheFloor) {
    for (const Decay decay : {Decay::linear, Decay::cosine}) {
        const Schedule schedule{
            .peak = 0.5, .decay = decay, .steps = 100, .warmup = 10, .min_ratio = 0.25};
        EXPECT_DOUBLE_EQ(schedule.at(0), 0.05);
        EXPECT_DOUBLE_EQ(schedule.at(9), 0.5);
        EXPECT_DOUBLE_EQ(schedule.at(10), 0.5);
        EXPECT_DOUBLE_EQ(schedule.at(99), 0.125);
        for (std::uint64_t step = 10; step + 1 < 100; ++step) {
            EXPECT_GT(schedule.at(step), schedule.at(step + 1));
        }
    }
}

TEST(ASchedule, OfALineFallsByEqualSteps) {
    const Schedule schedule{.peak = 1.0, .decay = Decay::linear, .steps = 11};
    EXPECT_DOUBLE_EQ(schedule.at(0), 1.0);
    EXPECT_DOUBLE_EQ(schedule.at(5), 0.5);
    EXPECT_DOUBLE_EQ(schedule.at(10), 0.0);
}

TEST(ASchedule, ThatIsConstantStaysAtThePeakAfterTheWarmUp) {
    const Schedule schedule{.peak = 2.0, .decay = Decay::constant, .steps = 9, .warmup = 2};
    EXPECT_DOUBLE_EQ(schedule.at(0), 1.0);
    EXPECT_DOUBLE_EQ(schedule.at(8), 2.0);
}

TEST(ASchedule, OfOneStepIsThePeak) {
    EXPECT_DOUBLE_EQ((Schedule{.peak = 3.0, .steps = 1}.at(0)), 3.0);
}

TEST(ASchedule, OfAnotherNameIsRefused) {
    EXPECT_THROW(static_cast<void>(parse_decay("cosin")), Error);
}

}  // namespace
}  // namespace anamnesis::train
