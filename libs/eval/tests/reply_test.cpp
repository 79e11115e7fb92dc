// SPDX-License-Identifier: Apache-2.0
#include "endpoint/reply.hpp"

#include <cstddef>
#include <optional>
#include <string>
#include <variant>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "anamnesis/eval/back_end.hpp"

namespace anamnesis::eval {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

Reply read(const std::string& body, const SentPrompt& sent = {}) {
    return read_completion({.status = 200, .body = body}, sent);
}

Answer read_chat(const std::string& message, const std::string& finish = "stop") {
    const Reply reply = read(R"({"choices":[{"message":{)" + message + R"(},"finish_reason":")" +
                             finish + R"("}]})");
    if (const auto* refusal = std::get_if<Refusal>(&reply)) {
        ADD_FAILURE() << message << ": " << refusal->reason;
    }
    const auto* answer = std::get_if<Answer>(&reply);
    return answer == nullptr ? Answer{} : *answer;
}

TEST(Reply, WhiteSpaceAfterThinkingIsNoAnswer) {
    for (const char* content : {"", "\\n\\n", " \\t\\r\\n"}) {
        const std::string said = R"("content":")" + std::string(content) + '"';
        const Answer all = read_chat(said + R"(,"reasoning_content":"It is 42.")");
        EXPECT_EQ(all.text, "It is 42.") << content;
        EXPECT_TRUE(all.was_all_thinking) << content;
        const Answer cut = read_chat(said + R"(,"reasoning_content":"hm")", "length");
        EXPECT_EQ(cut.text, "<think>hm") << content;
        EXPECT_FALSE(read_chat(said + R"(,"reasoning_content":"\n")").was_all_thinking);
    }
    EXPECT_EQ(read_chat(R"("content":"\n\n42","reasoning_content":"hm")").text,
              "<think>hm</think>\n\n42");
}

TEST(Reply, FindsThinkingUnderEveryName) {
    for (
        const char* thinking :
        {R"("reasoning_content":"It is 42.")",
         R"("reasoning":"It is 42.")",
         R"("thinking":"It is 42.")",
         R"("reasoning_content":"","reasoning":"It is 42.")",
         R"("reasoning_details":[{"type":"reasoning.text","text":"It is "},{"type":"reasoning.text","text":"42."}])",
         R"("reasoning_details":[{"type":"reasoning.summary","summary":"It is 42."},{"type":"reasoning.encrypted","data":"x"}])"}) {
        const Answer all = read_chat(R"("content":"",)" + std::string(thinking));
        EXPECT_EQ(all.text, "It is 42.") << thinking;
        EXPECT_TRUE(all.was_all_thinking) << thinking;
    }
}

TEST(Reply, ReadsContentThatIsAListOfParts) {
    EXPECT_EQ(
        read_chat(R"("content":[{"type":"text","text":"It is "},{"type":"text","text":"42."}])")
            .text,
        "It is 42.");
    EXPECT_EQ(
        read_chat(
            R"("content":[{"type":"thinking","thinking":[{"type":"text","text":"hm"}]},{"type":"text","text":"42"}])")
            .text,
        "<think>hm</think>42");
    const Reply number = read(R"({"choices":[{"message":{"content":42},"finish_reason":"stop"}]})");
    EXPECT_THAT(std::get<Refusal>(number).reason, HasSubstr("'content'"));
    const Reply empty = read(R"({"choices":[{"message":{"content":[]},"finish_reason":"stop"}]})");
    EXPECT_THAT(std::get<Refusal>(empty).reason,
                AllOf(HasSubstr("answered with nothing"), Not(HasSubstr("null"))));
}

}  // namespace
}  // namespace anamnesis::eval
