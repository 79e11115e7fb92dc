// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/base/shard.hpp"

#include <gtest/gtest.h>

#include "anamnesis/base/error.hpp"

namespace anamnesis {
namespace {

TEST(Shard, IsReadFromWordsAndRefusesOthers) {
    EXPECT_EQ(Shard::parse("2/3").index, 1U);
    EXPECT_EQ(Shard::parse("2/3").count, 3U);
    for (const char* bad : {"", "0/3", "4/3", "1", "a/b", "1/0", "1/3x"}) {
        EXPECT_THROW(Shard::parse(bad), Error) << bad;
    }
}

TEST(Shard, TakesEveryNthItem) {
    const Shard second{.index = 1, .count = 3};
    EXPECT_FALSE(second.takes(0));
    EXPECT_TRUE(second.takes(1));
    EXPECT_TRUE(second.takes(4));
    EXPECT_EQ(second.to_name(), "2-of-3");
}

}  // namespace
}  // namespace anamnesis
