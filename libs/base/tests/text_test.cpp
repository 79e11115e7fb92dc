// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/base/text.hpp"

#include <array>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "anamnesis/base/error.hpp"

namespace anamnesis {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(Text, WritesBytesWithThreeDigits) {
    EXPECT_EQ(human_bytes(0), "0 bytes");
    EXPECT_EQ(human_bytes(999), "999 bytes");
    EXPECT_EQ(human_bytes(1000), "1.00 kB");
    EXPECT_EQ(human_bytes(3'700'000'000), "3.70 GB");
}

TEST(Text, CarriesRoundingIntoTheNextUnit) {
    EXPECT_EQ(human_bytes(9'994), "9.99 kB");
    EXPECT_EQ(human_bytes(9'996), "10.0 kB");
    EXPECT_EQ(human_bytes(99'940), "99.9 kB");
    EXPECT_EQ(human_bytes(99'960), "100 kB");
    EXPECT_EQ(human_bytes(999'499), "999 kB");
    EXPECT_EQ(human_bytes(999'500), "1.00 MB");
    EXPECT_EQ(human_bytes(999'999'999'999), "1.00 TB");
}

TEST(Text, HasNoUnitAboveTheLast) {
    EXPECT_EQ(human_bytes(std::numeric_limits<std::uint64_t>::max()), "18446744 TB");
}

TEST(Text, WritesCountsAsModelSizes) {
    EXPECT_EQ(human_count(999), "999");
    EXPECT_EQ(human_count(1'926'138), "1.93 M");
    EXPECT_EQ(human_count(8'850'000'000), "8.85 B");
    EXPECT_EQ(human_count(1'000'000'000'000), "1.00 T");
}

TEST(Text, SeparatesThousands) {
    EXPECT_EQ(with_separators(0), "0");
    EXPECT_EQ(with_separators(999), "999");
    EXPECT_EQ(with_separators(1000), "1,000");
    EXPECT_EQ(with_separators(1'926'138'880), "1,926,138,880");
    EXPECT_EQ(with_separators(std::numeric_limits<std::uint64_t>::max()),
              "18,446,744,073,709,551,615");
}

TEST(Text, EscapesControlBytesAndNothingElse) {
    EXPECT_EQ(escape_controls("a\x1b[2J\nb\t\x7f"), R"(a\x1b[2J\x0ab\x09\x7f)");
    EXPECT_EQ(escape_controls("it's a 'naïve' C:\\path"), "it's a 'naïve' C:\\path");
}

TEST(Text, EscapesWhatWouldBreakALine) {
    EXPECT_EQ(in_quotes("a'b\\c"), R"('a\'b\\c')");
    EXPECT_EQ(in_quotes(std::string_view("\n\0\x1b[2J\x7f", 7)), R"('\x0a\x00\x1b[2J\x7f')");
    EXPECT_EQ(in_quotes(""), "''");
}

TEST(Text, KeepsOtherLanguagesReadable) {
    EXPECT_EQ(in_quotes("modèle"), "'modèle'");
}

TEST(Text, CutsLongText) {
    EXPECT_EQ(in_quotes("abcd", 4), "'abcd'");
    EXPECT_EQ(in_quotes("abcde", 4), "'abcd…'");
}

TEST(Text, FindsTheNearestWord) {
    const std::array<std::string, 3> verbs{"restore", "inspect", "drift"};
    EXPECT_EQ(find_nearest("restroe", verbs), "restore");
    EXPECT_EQ(find_nearest("drift", verbs), "drift");
    EXPECT_EQ(find_nearest("quantise", verbs), std::nullopt);
    EXPECT_EQ(find_nearest("drift", {}), std::nullopt);
}

TEST(Text, SplitsAndJoins) {
    EXPECT_THAT(split("a,,b", ','), ElementsAre("a", "", "b"));
    EXPECT_THAT(split("", ','), ElementsAre(""));
    EXPECT_THAT(split(",", ','), ElementsAre("", ""));
    EXPECT_EQ(join(split("a,b,c", ','), "; "), "a; b; c");
    EXPECT_EQ(join({}, ", "), "");
}

TEST(Text, WritesRunsOfThreeAsRanges) {
    const auto list = [](std::vector<std::uint32_t> numbers) { return compact_list(numbers); };
    EXPECT_EQ(list({0, 1, 2, 3, 7, 9, 10, 11}), "0-3,7,9-11");
    EXPECT_EQ(list({4, 5}), "4,5");
    EXPECT_EQ(list({}), "");
    EXPECT_EQ(list({4'294'967'294, 4'294'967'295}), "4294967294,4294967295");
}

TEST(NumberList, IsSortedAndWithoutRepeats) {
    EXPECT_THAT(parse_number_list("9-11,3,7,3,10", "--layers"), ElementsAre(3, 7, 9, 10, 11));
    EXPECT_THAT(parse_number_list("0", "--layers"), ElementsAre(0));
    EXPECT_THAT(parse_number_list("5-5", "--layers"), ElementsAre(5));
}

TEST(NumberList, ReachesTheLargestNumber) {
    EXPECT_THAT(parse_number_list("4294967294-4294967295", "--layers"),
                ElementsAre(4'294'967'294, 4'294'967'295));
}

TEST(NumberList, ReadsBackWhatCompactListWrites) {
    const std::vector<std::uint32_t> numbers{0, 2, 3, 4, 8, 9};
    EXPECT_EQ(parse_number_list(compact_list(numbers), "--layers"), numbers);
}

TEST(NumberList, RefusesAnythingElseAndNamesTheOption) {
    for (const char* text : {"",
                             ",",
                             "3,",
                             "a",
                             "3 ",
                             " 3",
                             "+3",
                             "-3",
                             "3-",
                             "-",
                             "1-2-3",
                             "3.0",
                             "0x3",
                             "4294967296",
                             "5-3"}) {
        try {
            parse_number_list(text, "--layers");
            ADD_FAILURE() << text << " was accepted";
        } catch (const Error& error) {
            EXPECT_EQ(error.kind(), ErrorKind::usage) << text;
            EXPECT_THAT(error.what(), HasSubstr("--layers")) << text;
        }
    }
}

TEST(NumberList, RefusesARangeAboveTheLimit) {
    EXPECT_EQ(parse_number_list("1-10", "--layers", 10).size(), 10U);
    EXPECT_THROW(parse_number_list("1-11", "--layers", 10), Error);
    EXPECT_THROW(parse_number_list("0-4294967295", "--layers"), Error);
}

}  // namespace
}  // namespace anamnesis
