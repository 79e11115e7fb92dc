// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/base/value_text.hpp"

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

}  // namespace
}  // namespace anamnesis
