// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/eval/ruler/word_pairs.hpp"

#include <string>

#include <gtest/gtest.h>

#include "anamnesis/base/json.hpp"
#include "anamnesis/io/file.hpp"

#include "json_lines.hpp"

namespace anamnesis::eval {
namespace {

TEST(WordPairs, AreInTheOrderOfSixMillionSortedStrings) {
    const Json words = Json::parse(io::read_text(ruler_testdata / "words.json"));
    const WordPairs pairs = WordPairs::wonderwords();
    EXPECT_EQ(pairs.size(), words.at("pairs").as_unsigned("pairs"));
    for (const Json& entry : words.at("at").as_array("at")) {
        const auto& place = entry.as_array("entry");
        EXPECT_EQ(pairs.at(place[0].as_unsigned("place")), place[1].as_string("word"));
    }
}

TEST(WordPairs, SortAdjectivesThatBeginOneAnotherTogether) {
    const WordPairs pairs("blue\nblue-eyed\nred\nblue\n", "apple\nzebra\nfox\n");
    ASSERT_EQ(pairs.size(), 9U);
    std::string all;
    for (std::size_t i = 0; i < pairs.size(); ++i) {
        all += pairs.at(i) + " ";
    }
    EXPECT_EQ(all,
              "blue-apple blue-eyed-apple blue-eyed-fox blue-eyed-zebra blue-fox blue-zebra "
              "red-apple red-fox red-zebra ");
}

}  // namespace
}  // namespace anamnesis::eval
