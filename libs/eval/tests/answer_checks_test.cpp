// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/eval/answer_checks.hpp"

#include <string>

#include <gtest/gtest.h>

namespace anamnesis::eval {
namespace {

TEST(Degenerate, AreLoopsOfAnyShortGroup) {
    std::string words = "It is ";
    for (int i = 0; i < 30; ++i) {
        words += "the answer ";
    }
    EXPECT_TRUE(is_degenerate(words));
    EXPECT_TRUE(is_degenerate(std::string(100, '?')));
}

TEST(Degenerate, AreNeitherShortNorOrdinaryAnswers) {
    EXPECT_FALSE(is_degenerate("1111111"));
    EXPECT_FALSE(
        is_degenerate("The special magic number mentioned in the text is 4812093, and it "
                      "is between two sentences about the weather."));
    EXPECT_FALSE(is_degenerate(""));
}

}  // namespace
}  // namespace anamnesis::eval
