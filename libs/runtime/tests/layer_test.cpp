// SPDX-License-Identifier: Apache-2.0
#include "layer.hpp"

#include <gtest/gtest.h>

namespace anamnesis::runtime {
namespace {

TEST(Layer, NeedsTheTokensThatItMixes) {
    EXPECT_EQ(count_needed({.mixer = NoMixerLayer()}, 1, 100), 1);
    EXPECT_EQ(count_needed({.mixer = AttentionLayer()}, 1, 100), 100);
    const LoadedLayer convolution{.mixer = ShortConvolutionLayer{.spec = {.taps = 3}}};
    EXPECT_EQ(count_needed(convolution, 1, 100), 3);
    EXPECT_EQ(count_needed(convolution, 3, 100), 5);
    EXPECT_EQ(count_needed(convolution, 1, 2), 2) << "a piece has no more";
}

}  // namespace
}  // namespace anamnesis::runtime
