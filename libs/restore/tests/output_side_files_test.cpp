// SPDX-License-Identifier: Apache-2.0
#include "output_side_files.hpp"

#include <string>

#include <gtest/gtest.h>

namespace anamnesis::restore {
namespace {

TEST(WithoutMember, LeavesEveryOtherByte) {
    EXPECT_EQ(without_member(R"({"a": 1, "q": {"b": [1, "}"]}, "c": Infinity})", "q"),
              R"({"a": 1, "c": Infinity})");
    EXPECT_EQ(without_member("{\n  \"a\": 1,\n  \"q\": \"x\"\n}\n", "q"), "{\n  \"a\": 1\n}\n");
    EXPECT_EQ(without_member(R"({"q": null})", "q"), "{}");
    EXPECT_EQ(without_member(R"({"text_config": {"q": 1, "d": 2}, "q": 2})", "q"),
              R"({"text_config": {"d": 2}})");
    EXPECT_EQ(without_member(R"({"other": {"q": 1}, "s": "\"q\": 1"})", "q"),
              R"({"other": {"q": 1}, "s": "\"q\": 1"})");
}

}  // namespace
}  // namespace anamnesis::restore
