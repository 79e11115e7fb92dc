// SPDX-License-Identifier: Apache-2.0
#define ANAMNESIS_WIDTH 8
#define ANAMNESIS_LANES lanes_8
#include "cpu_vectors.hpp"

#include <cmath>
#include <cstddef>
#include <limits>

#include <gtest/gtest.h>

namespace anamnesis::runtime::cpu::lanes_8 {
namespace {

TEST(TheExponential, FollowsTheLibraryDownToMinus87) {
    for (float x = 0.0F; x > -87.0F; x -= 0.0371F) {
        const float expected = std::exp(x);
        EXPECT_NEAR(exp_of_negative(x), expected, 3e-7F * expected) << x;
        EXPECT_EQ(exp_of_negative(broadcast(x))[3], exp_of_negative(x)) << x;
    }
    EXPECT_EQ(exp_of_negative(0.0F), 1.0F);
}

TEST(TheExponential, IsZeroFarBelow) {
    for (const float x :
         {-88.0F, -104.0F, -200.0F, -1e30F, -std::numeric_limits<float>::infinity()}) {
        EXPECT_EQ(exp_of_negative(x), 0.0F) << x;
        const Floats values = exp_of_negative(broadcast(x));
        for (std::size_t i = 0; i < width; ++i) {
            EXPECT_EQ(values[i], 0.0F) << x;
        }
    }
}

TEST(TheExponential, KeepsNaN) {
    EXPECT_TRUE(std::isnan(exp_of_negative(std::numeric_limits<float>::quiet_NaN())));
}

TEST(TheHyperbolicTangent, FollowsTheLibrary) {
    for (float x = -12.0F; x < 12.0F; x += 0.00371F) {
        const float expected = std::tanh(x);
        EXPECT_NEAR(hyperbolic_tangent(x), expected, 4e-7F * std::abs(expected)) << x;
        EXPECT_EQ(hyperbolic_tangent(broadcast(x))[3], hyperbolic_tangent(x)) << x;
    }
    EXPECT_EQ(hyperbolic_tangent(0.0F), 0.0F);
    EXPECT_EQ(hyperbolic_tangent(100.0F), 1.0F);
    EXPECT_EQ(hyperbolic_tangent(-100.0F), -1.0F);
}

TEST(Silu, IsZeroFarBelowAndTheInputFarAbove) {
    EXPECT_EQ(silu(-200.0F), 0.0F);
    EXPECT_EQ(silu(200.0F), 200.0F);
}

}  // namespace
}  // namespace anamnesis::runtime::cpu::lanes_8
