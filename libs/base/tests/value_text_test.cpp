// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/base/value_text.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "anamnesis/base/error.hpp"

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

TEST(ValueText, OfZeroIsNoCountThatMayBeLeftOut) {
    for (const char* text : {"0", "00"}) {
        EXPECT_NE(find_text_of_zero(text), "") << text;
    }
    for (const char* text : {"", "1", "10", "x", "0.5"}) {
        EXPECT_EQ(find_text_of_zero(text), "") << text;
    }
}

TEST(RepeatedNumbers, AreRefusedWithTheirOption) {
    EXPECT_NO_THROW(refuse_repeated("--seeds", {}));
    EXPECT_NO_THROW(refuse_repeated("--seeds", std::vector<std::uint64_t>{1, 0, 2}));
    try {
        refuse_repeated("--seeds", std::vector<std::uint64_t>{1, 7, 1});
        ADD_FAILURE() << "1 was taken twice";
    } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::usage);
        EXPECT_EQ(error.message(), "--seeds names 1 twice; name each number once");
    }
}

TEST(ValueText, NegativeCountsDoNotWrapAround) {
    EXPECT_NE(find_negative_text("-1"), "");
    EXPECT_EQ(find_negative_text("0"), "");
    EXPECT_EQ(find_negative_text("18446744073709551615"), "");
    static_assert(holds_counts<std::optional<unsigned>>());
    static_assert(holds_counts<unsigned>() && holds_counts<std::vector<std::size_t>>());
    static_assert(!holds_counts<int>() && !holds_counts<std::string>());
    static_assert(holds_floats<std::vector<double>>() && !holds_floats<unsigned>());
}

}  // namespace
}  // namespace anamnesis
