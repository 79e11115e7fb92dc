// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/base/words.hpp"

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "anamnesis/base/error.hpp"

namespace anamnesis {
namespace {

enum class Fruit : std::uint8_t { apple, pear, quince };

constexpr std::array<Word<Fruit>, 2> fruit_words{{{Fruit::apple, "apple"}, {Fruit::pear, "pear"}}};

TEST(Words, GoBothWays) {
    EXPECT_EQ(find_word(fruit_words, Fruit::pear), "pear");
    EXPECT_EQ(find_value(fruit_words, "apple"), Fruit::apple);
    EXPECT_EQ(parse_word(fruit_words, "pear", "fruit"), Fruit::pear);
    EXPECT_EQ(list_words(fruit_words), (std::vector<std::string>{"apple", "pear"}));
}

TEST(Words, AnUnknownWordIsRefusedAndNeverTheLastOfTheTable) {
    EXPECT_EQ(find_value(fruit_words, "plum"), std::nullopt);
    EXPECT_EQ(find_word(fruit_words, Fruit::quince), "?");
    try {
        static_cast<void>(parse_word(fruit_words, "plum", "fruit", ErrorKind::malformed));
        FAIL() << "a plum was taken";
    } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::malformed);
        EXPECT_EQ(error.message(), "fruit 'plum' is unknown; there are apple, pear");
    }
}

}  // namespace
}  // namespace anamnesis
