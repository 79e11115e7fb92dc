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

TEST(Reply, AsksAgainAfterAPassingErrorHoweverItIsSpelled) {
    for (const char* body : {R"({"error":{"message":"gateway timeout","code":"504"}})",
                             R"({"error":{"message":"later","code":503.0}})",
                             R"({"error":{"message":"later","status":503}})",
                             R"({"error":{"message":"later","code":null},"status":503})",
                             R"({"error":"upstream timed out"})",
                             R"({"object":"error","message":"later","code":503})",
                             R"({"object":"error","message":"x","type":"InternalServerError"})",
                             R"({"error":{"message":"x","type":"overloaded_error"}})",
                             R"({"error":{"message":"x","type":"rate_limit_error"}})",
                             R"({"error":{"message":"x","code":"rate_limit_exceeded"}})",
                             R"({"error":{"message":"x","type":"server_error"}})",
                             R"({"error":{"message":"x","code":502},"choices":[]})",
                             R"({"choices":[{"error":{"message":"x","code":502},"text":"",)"
                             R"("finish_reason":"error"}]})",
                             R"({"choices":[]})",
                             R"({"choices":null})",
                             "<html>maintenance</html>",
                             R"({"choices":[{"te)",
                             ""}) {
        EXPECT_TRUE(std::holds_alternative<Retry>(read(body))) << body;
    }
}

TEST(Reply, DoesNotAskAgainAfterAFinalErrorWithin200) {
    for (const char* body :
         {R"({"error":{"message":"no such adapter","code":"400"}})",
          R"({"error":"model exploded"})",
          R"({"object":"error","message":"x","type":"BadRequestError","code":400})",
          R"({"error":{"message":"timeout must be positive","type":"invalid_request_error"}})",
          R"({"error":{"message":"context size exceeded","type":"server_error","code":500}})"}) {
        const Reply reply = read(body);
        ASSERT_TRUE(std::holds_alternative<Refusal>(reply)) << body;
        EXPECT_THAT(std::get<Refusal>(reply).reason, HasSubstr("answered 200"));
    }
}

TEST(Reply, AnErrorThatSaysNothingIsNone) {
    for (const char* error : {"null", "false", R"("")", "{}", "[]"}) {
        const Reply reply = read(R"({"choices":[{"text":"42","finish_reason":"stop"}],"error":)" +
                                 std::string(error) + "}");
        ASSERT_TRUE(std::holds_alternative<Answer>(reply)) << error;
        EXPECT_EQ(std::get<Answer>(reply).text, "42");
    }
}

TEST(Reply, TakesCountsThatAreWrittenAsFractions) {
    const auto read_usage = [](const std::string& tokens) {
        return read(R"({"choices":[{"text":"42","finish_reason":"stop"}],"usage":)"
                    R"({"prompt_tokens":)" +
                        tokens + R"(,"completion_tokens":9.0}})",
                    {.tokens = 89});
    };
    const Answer answer = std::get<Answer>(read_usage("89.0"));
    EXPECT_TRUE(answer.is_counted);
    EXPECT_EQ(answer.prompt_tokens, 89U);
    EXPECT_EQ(answer.new_tokens, 9U);
    EXPECT_THAT(std::get<Refusal>(read_usage("44.0")).reason, HasSubstr("read 44 prompt tokens"));
    for (const char* no_count : {"-1", "88.5", "1e300", "0"}) {
        EXPECT_FALSE(std::get<Answer>(read_usage(no_count)).is_counted) << no_count;
    }
}

std::string completion(const std::string& text, const std::string& more = "") {
    return R"({"choices":[{"text":")" + text + R"(","finish_reason":"length"}])" + more + "}";
}

TEST(Reply, AnEchoedPromptIsNoAnswer) {
    std::string prompt = "<s>";
    for (int i = 0; i < 60; ++i) {
        prompt += " the needle number " + std::to_string(i) + " is 4711;";
    }
    const SentPrompt sent{.prompt = prompt, .max_new_tokens = 8};
    for (const std::string& echoed : {prompt, prompt.substr(3)}) {
        const Reply reply = read(completion(echoed + " 42."), sent);
        const auto* answer = std::get_if<Answer>(&reply);
        ASSERT_NE(answer, nullptr);
        EXPECT_TRUE(answer->was_echoed);
        EXPECT_EQ(answer->text, " 42.");
    }
    for (const std::string& own :
         {std::string(" 42."), prompt.substr(0, 80), "It says:" + prompt.substr(100, 300)}) {
        const Reply reply = read(completion(own), sent);
        EXPECT_FALSE(std::get<Answer>(reply).was_echoed) << own;
        EXPECT_EQ(std::get<Answer>(reply).text, own);
    }
    // A short question may be said again.
    const Reply repeated = read(completion("What is 6 x 7? 42"), {.prompt = "What is 6 x 7?"});
    EXPECT_FALSE(std::get<Answer>(repeated).was_echoed);
}

TEST(Reply, NoticesALimitOfTheServersOwn) {
    const SentPrompt sent{.max_new_tokens = 100};
    const auto is_capped = [&](const std::string& tokens) {
        const Reply reply =
            read(completion("a", R"(,"usage":{"completion_tokens":)" + tokens + "}"), sent);
        return std::get<Answer>(reply).was_capped;
    };
    EXPECT_TRUE(is_capped("16"));
    EXPECT_FALSE(is_capped("100"));
    EXPECT_FALSE(is_capped("99"));
}

TEST(Reply, ReadsHalvesOfCharacters) {
    const auto text = [](const std::string& escaped) {
        return std::get<Answer>(read(completion(escaped))).text;
    };
    EXPECT_EQ(text(R"(a\ud83d)"), "a\xEF\xBF\xBD");
    EXPECT_EQ(text(R"(\ud83dx\ude00)"), "\xEF\xBF\xBDx\xEF\xBF\xBD");
    EXPECT_EQ(text(R"(\ud83d\ude00)"), "\xF0\x9F\x98\x80");
    EXPECT_EQ(text(R"(\\ud83d)"), "\\ud83d");
}

TEST(Reply, SaysWhereAServerWent) {
    const Reply reply =
        read_completion({.status = 308, .body = "", .location = "https://new.example/v1"}, {});
    const auto* refusal = std::get_if<Refusal>(&reply);
    ASSERT_NE(refusal, nullptr);
    EXPECT_TRUE(refusal->concerns_all);
    EXPECT_THAT(refusal->reason, HasSubstr("'https://new.example/v1'"));
    EXPECT_TRUE(std::holds_alternative<Answer>(
        read_completion({.status = 201, .body = completion("x")}, {})));
}

TEST(Reply, NamesTheOptionThatNamesTheModel) {
    const HttpReply missing{.status = 404,
                            .body = R"({"error":{"message":"The model `x` does not exist."}})"};
    const auto refuse = [&](const SentPrompt& sent) {
        return std::get<Refusal>(read_completion(missing, sent)).reason;
    };
    EXPECT_THAT(refuse({}), HasSubstr("name another with --model"));
    EXPECT_THAT(refuse({.model_option = "--served"}), HasSubstr("name another with --served"));
}

}  // namespace
}  // namespace anamnesis::eval
