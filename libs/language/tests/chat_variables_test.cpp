// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/language/chat_variables.hpp"

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"

namespace anamnesis::language {
namespace {

using ::testing::HasSubstr;

std::string read(const std::string& value) {
    return parse_chat_variables({"x=" + value}).at("x").dump();
}

std::string refusal(const std::string& value) {
    try {
        return "taken as " + read(value);
    } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::usage);
        return error.message();
    }
}

TEST(ChatVariables, AreJsonOrPlainWords) {
    EXPECT_EQ(read("false"), "false");
    EXPECT_EQ(read("3"), "3");
    EXPECT_EQ(read(R"({"a":[1]})"), R"({"a":[1]})");
    EXPECT_EQ(read(R"("True")"), R"("True")");
    EXPECT_EQ(read("high"), R"("high")");
    EXPECT_EQ(read("you are [a] poet, \"dear\" one"), R"("you are [a] poet, \"dear\" one")");
    EXPECT_EQ(read("it's [ok]"), R"("it's [ok]")");
    EXPECT_EQ(read("truest"), R"("truest")");
    EXPECT_EQ(read(""), R"("")");
}

TEST(ChatVariables, ThatWereToBeJsonAreRefusedWithTheirSpelling) {
    EXPECT_THAT(refusal("False"), HasSubstr("--chat-var x: 'False' is no JSON; write x=false"));
    EXPECT_THAT(refusal("TRUE"), HasSubstr("write x=true"));
    EXPECT_THAT(refusal("None"), HasSubstr("write x=null"));
    EXPECT_THAT(refusal("Null"), HasSubstr("write x=null"));
    for (const char* broken : {R"({"a")", "[1, 2", R"("high)", "'high'", R"({'a': 1})"}) {
        EXPECT_THAT(refusal(broken), HasSubstr("close every bracket and quote")) << broken;
    }
}

}  // namespace
}  // namespace anamnesis::language
