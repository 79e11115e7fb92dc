// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/base/value_text.hpp"

#include <cstddef>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace anamnesis {
namespace {

TEST(ValueText, ThatIsEmptyOrNoNumberIsFound) {
    EXPECT_NE(find_empty_text(""), "");
    EXPECT_EQ(find_empty_text(" "), "");
    for (const char* text : {"nan", "NaN", "-nan", "+NAN", "nan(1)"}) {
        EXPECT_NE(find_text_of_nan(text), "") << text;
    }
    for (const char* text : {"", "0", "1e-3", "-inf", "n", "+"}) {
        EXPECT_EQ(find_text_of_nan(text), "") << text;
    }
}

TEST(ValueText, NumbersAboveZero) {
    for (const char* text : {"0", "-1", "", "x", "nan"}) {
        EXPECT_NE(find_text_below_zero(text), "") << text;
    }
    EXPECT_EQ(find_text_below_zero("1e30"), "");
}

TEST(ValueText, NegativeCountsDoNotWrapAround) {
    EXPECT_NE(find_negative_text("-1"), "");
    EXPECT_EQ(find_negative_text("0"), "");
    EXPECT_EQ(find_negative_text("18446744073709551615"), "");
    static_assert(holds_counts<unsigned>() && holds_counts<std::vector<std::size_t>>());
    static_assert(!holds_counts<int>() && !holds_counts<std::string>());
    static_assert(holds_floats<std::vector<double>>() && !holds_floats<unsigned>());
}

}  // namespace
}  // namespace anamnesis
