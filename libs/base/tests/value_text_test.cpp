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

TEST(ValueText, OfAnEmptyNumberIsFaultyWhateverItsType) {
    EXPECT_NE(find_fault<double>(""), "");
    EXPECT_NE(find_fault<std::optional<double>>(""), "");
    EXPECT_NE(find_fault<std::vector<double>>(""), "");
    EXPECT_NE(find_fault<unsigned>(""), "");
    EXPECT_NE(find_fault<std::optional<std::uint64_t>>(""), "");
    EXPECT_NE(find_fault<int>(""), "");
    EXPECT_NE(find_fault<std::string>(""), "");
    EXPECT_NE(find_fault<double>("nan"), "");
    EXPECT_NE(find_fault<unsigned>("-1"), "");
    EXPECT_EQ(find_fault<double>("-0.5"), "");
    EXPECT_EQ(find_fault<unsigned>("0"), "");
    EXPECT_EQ(find_fault<std::string>("-1"), "");
}

TEST(ValueText, OfAListHasNoEmptyItems) {
    for (const char* list : {"", ",", "1,", ",1", "0.1,,1", "[]", "[1,]", "[,1]", "[1,,2]"}) {
        EXPECT_NE(find_empty_item(list), "") << list;
    }
    for (const char* list : {"1", "1,2", "[1,2]", "0.1,1,10", "["}) {
        EXPECT_EQ(find_empty_item(list), "") << list;
    }
}

TEST(CheckValues, FindsWhatReadersOfOptionsDrop) {
    const auto find = [](const std::string& name) -> std::optional<OptionForm> {
        if (name == "--list") {
            return OptionForm{.is_list = true};
        }
        if (name == "--text") {
            return OptionForm{};
        }
        return name == "-q" ? std::optional(OptionForm{.takes_value = false}) : std::nullopt;
    };
    using Words = std::vector<const char*>;
    for (const Words& words : {Words{"--text="},
                               Words{"-q", "--text=", "x"},
                               Words{"--list", "1,,2"},
                               Words{"--list=1,"},
                               Words{"--list", "1", ",2"},
                               Words{"--list", "[]"},
                               Words{"--list", ""}}) {
        EXPECT_THROW(check_values(words, find), Error) << words.front() << " " << words.back();
    }
    for (const Words& words : {Words{},
                               Words{"", "x,,y"},
                               Words{"--text", ""},
                               Words{"--text", "--list="},
                               Words{"--text=a,,b"},
                               Words{"--list", "1,2", "-3", "-q", ",,"},
                               Words{"--unknown="}}) {
        EXPECT_NO_THROW(check_values(words, find)) << words.size();
    }
    try {
        check_values(Words{"--list", "1,,2"}, find);
    } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::usage);
        EXPECT_TRUE(error.message().starts_with("--list: ")) << error.message();
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
    // Some options take 0 and some do not: the words promise neither.
    EXPECT_EQ(find_negative_text("-1").find('0'), std::string::npos);
    EXPECT_EQ(find_negative_text("0"), "");
    EXPECT_EQ(find_negative_text("18446744073709551615"), "");
    static_assert(holds_counts<std::optional<unsigned>>());
    static_assert(holds_counts<unsigned>() && holds_counts<std::vector<std::size_t>>());
    static_assert(!holds_counts<int>() && !holds_counts<std::string>());
    static_assert(holds_floats<std::vector<double>>() && !holds_floats<unsigned>());
}

}  // namespace
}  // namespace anamnesis
