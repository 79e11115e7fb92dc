// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/base/shell.hpp"

#include <string>
#include <string_view>

#include <gtest/gtest.h>

namespace anamnesis {
namespace {

TEST(Shell, LeavesWordsThatNeedNoQuotes) {
    EXPECT_EQ(quote_for_shell("models/base-0.6b_v1:x@y=z+"), "models/base-0.6b_v1:x@y=z+");
}

TEST(Shell, PutsWhatAShellWouldTakeApartIntoQuotes) {
    EXPECT_EQ(quote_for_shell(""), "''");
    EXPECT_EQ(quote_for_shell("my models/a"), "'my models/a'");
    EXPECT_EQ(quote_for_shell("it's"), "'it'\\''s'");
    for (const std::string_view word : {"~/a", "$HOME", "a;b", "a*b", "a`b", "a\nb", "ä", "a\\b"}) {
        EXPECT_EQ(quote_for_shell(word), "'" + std::string(word) + "'");
    }
}

}  // namespace
}  // namespace anamnesis
