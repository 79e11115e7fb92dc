// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/eval/endpoint_back_end.hpp"

#include <chrono>
#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "anamnesis/base/error.hpp"
#include "anamnesis/language/scripted_model.hpp"

#include "endpoint/reply.hpp"
#include "openai_server.hpp"

namespace anamnesis::eval {
namespace {

using language::ScriptedModel;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using Fault = std::optional<std::pair<int, std::string>>;

std::string script(std::string_view prompt) {
    return " echo " + std::string(prompt.substr(prompt.rfind(' ') + 1));
}

struct Outcome {
    std::map<std::string, Answer> answers;
    std::map<std::string, std::string> failures;
};

Outcome ask(BackEnd& back_end, std::size_t count, const std::string& input = "say ") {
    Outcome outcome;
    std::size_t next = 0;
    back_end.answer(
        [&]() -> std::optional<Question> {
            if (next == count) {
                return std::nullopt;
            }
            const std::string id = std::to_string(next++);
            return Question{.id = id, .input = input + id, .max_new_tokens = 16};
        },
        {.answered = [&](const Question& question,
                         const Answer& answer) { outcome.answers.emplace(question.id, answer); },
         .failed =
             [&](const Question& question, const std::string& reason) {
                 outcome.failures.emplace(question.id, reason);
             }},
        {});
    return outcome;
}

EndpointOptions make_options(const OpenAiServer& server) {
    return {.url = server.url(),
            .model = "",
            .transport = PromptTransport::text,
            .concurrency = 3,
            .retries = 3,
            .first_pause = std::chrono::milliseconds(1)};
}

TEST(EndpointBackEnd, AnswersEveryQuestionOnce) {
    ScriptedModel model(script);
    OpenAiServer server(model);
    EndpointBackEnd back_end(make_options(server), nullptr);
    const Outcome outcome = ask(back_end, 25);
    ASSERT_EQ(outcome.answers.size(), 25U);
    EXPECT_EQ(outcome.answers.at("7").text, " echo 7");
    EXPECT_EQ(outcome.answers.at("7").prompt_tokens, 5U);
    EXPECT_EQ(server.requests(), 25U);
    EXPECT_EQ(back_end.model(), "tiny");
    EXPECT_EQ(back_end.context_length(), model.context_length());
}

TEST(EndpointBackEnd, KeepsTheAskedConcurrencyAndNoMore) {
    ScriptedModel model(script);
    OpenAiServer server(model);
    server.gather(3);
    server.delay(std::chrono::milliseconds(20));
    EndpointBackEnd back_end(make_options(server), nullptr);
    ask(back_end, 30);
    EXPECT_EQ(server.most_at_once(), 3U);
    EXPECT_GT(back_end.busy_share().value(), 0.5);
}

TEST(EndpointBackEnd, AsksAgainAfterPassingFaults) {
    for (const int status : {408, 429, 500, 502, 503, 504}) {
        ScriptedModel model(script);
        OpenAiServer server(model, [status](std::size_t request) -> Fault {
            return request % 2 == 0 ? Fault({status, R"({"error": {"message": "busy"}})"})
                                    : std::nullopt;
        });
        EndpointOptions options = make_options(server);
        options.concurrency = 1;
        EndpointBackEnd back_end(options, nullptr);
        const Outcome outcome = ask(back_end, 2);
        EXPECT_EQ(outcome.answers.size(), 2U) << status;
        EXPECT_EQ(server.requests(), 4U) << status;
    }
}

TEST(EndpointBackEnd, GivesUpAfterTheRetriesAndNamesTheReason) {
    ScriptedModel model(script);
    OpenAiServer server(model, [](std::size_t) -> Fault { return {{503, "Loading model"}}; });
    EndpointBackEnd back_end(make_options(server), nullptr);
    const Outcome outcome = ask(back_end, 1);
    EXPECT_TRUE(outcome.answers.empty());
    EXPECT_THAT(outcome.failures.at("0"), HasSubstr("Loading model"));
    EXPECT_THAT(outcome.failures.at("0"), HasSubstr("asked 4 times"));
}

TEST(EndpointBackEnd, NeverScoresAnErrorAndDoesNotRepeatARefusal) {
    ScriptedModel model(script, 32);
    OpenAiServer server(model);
    EndpointBackEnd back_end(make_options(server), nullptr);
    const Outcome outcome = ask(back_end, 1, std::string(100, 'x') + " ");
    EXPECT_TRUE(outcome.answers.empty());
    EXPECT_THAT(outcome.failures.at("0"), HasSubstr("too long for the server"));
    EXPECT_EQ(server.requests(), 1U);
}

TEST(EndpointBackEnd, SendsEverySamplingFieldSoThatNoDefaultLeaksIn) {
    ScriptedModel model(script);
    OpenAiServer server(model);
    EndpointBackEnd back_end(make_options(server), nullptr);
    ask(back_end, 1);
    const Json body = server.bodies().front();
    for (const char* field : {"max_tokens",
                              "temperature",
                              "top_p",
                              "top_k",
                              "min_p",
                              "seed",
                              "repetition_penalty",
                              "presence_penalty",
                              "cache_prompt"}) {
        EXPECT_NE(body.find(field), nullptr) << field;
    }
    // Greedy: llama_cpp.server takes no -1.
    EXPECT_EQ(body.at("top_k").as_integer("top_k"), 1);
}

TEST(EndpointBackEnd, ContinuesAnAssistantTurnInAChat) {
    ScriptedModel model(script);
    OpenAiServer server(model);
    EndpointOptions options = make_options(server);
    options.transport = PromptTransport::chat;
    EndpointBackEnd back_end(options, nullptr);
    bool is_asked = false;
    back_end.answer(
        [&]() -> std::optional<Question> {
            return std::exchange(is_asked, true)
                       ? std::nullopt
                       : std::optional(Question{
                             .id = "a", .input = "question", .answer_prefix = " The answer is"});
        },
        {.answered = [](const Question&,
                        const Answer& answer) { EXPECT_EQ(answer.text, " echo is"); },
         .failed = [](const Question&, const std::string& reason) { FAIL() << reason; }},
        {});
    const Json body = server.bodies().front();
    EXPECT_TRUE(body.at("continue_final_message").as_boolean("continue"));
    EXPECT_FALSE(body.at("add_generation_prompt").as_boolean("add"));
    EXPECT_EQ(body.at("messages").as_array("messages").size(), 2U);
}

TEST(EndpointBackEnd, SaysWhatIsServedWhereTheModelIsNot) {
    ScriptedModel model(script);
    OpenAiServer server(model);
    EndpointOptions options = make_options(server);
    options.model = "other";
    try {
        const EndpointBackEnd back_end(options, nullptr);
        FAIL();
    } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::not_found);
        EXPECT_THAT(error.message(), HasSubstr("served: tiny"));
    }
}

TEST(EndpointBackEnd, SaysThatNobodyListens) {
    std::string url;
    {
        ScriptedModel model(script);
        url = OpenAiServer(model).url();
    }
    try {
        const EndpointBackEnd back_end(
            {.url = url, .model = "", .transport = PromptTransport::text}, nullptr);
        FAIL();
    } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::not_found);
        EXPECT_THAT(error.message(), HasSubstr(url));
    }
}

TEST(EndpointBackEnd, RefusesAddressesThatNothingCanFollow) {
    for (const auto& [url, word] : {std::pair("http://127.0.0.1:1/v1?api-version=2", "query"),
                                    std::pair("http://127.0.0.1:1/#a", "fragment"),
                                    std::pair("http://me:secret@127.0.0.1:1", "--api-key-env")}) {
        try {
            const EndpointBackEnd back_end(
                {.url = url, .model = "", .transport = PromptTransport::text}, nullptr);
            FAIL() << url;
        } catch (const Error& error) {
            EXPECT_EQ(error.kind(), ErrorKind::usage) << url;
            EXPECT_THAT(error.message(), AllOf(HasSubstr(word), Not(HasSubstr("secret")))) << url;
        }
    }
}

std::string read_refusal(int status, const std::string& body, std::size_t sent = 0) {
    const Reply reply = read_completion({.status = status, .body = body},
                                        {.tokens = sent == 0 ? std::nullopt : std::optional(sent)});
    const auto* refusal = std::get_if<Refusal>(&reply);
    return refusal == nullptr ? "" : refusal->reason;
}

TEST(Reply, RecognisesEveryWordingOfATooLongPrompt) {
    for (const auto& [status, body] : std::vector<std::pair<int, std::string>>{
             {400,
              R"({"error":{"message":"This model's maximum context length is 4096 tokens."}})"},
             {400, R"({"object":"error","message":"'max_tokens' is too large: context length"})"},
             {500, R"({"error":{"code":500,"message":"Context size has been exceeded."}})"},
             {400, R"({"error":{"type":"exceed_context_size_error","message":"the request"}})"}}) {
        EXPECT_THAT(read_refusal(status, body), HasSubstr("too long")) << body;
    }
}

TEST(Reply, RefusesAnswersThatAreNone) {
    EXPECT_THAT(read_refusal(200, R"({"error":{"message":"x"}})"), HasSubstr("answered 200: 'x'"));
    EXPECT_THAT(read_refusal(200, R"({"object":"list"})"), HasSubstr("not understood"));
    EXPECT_THAT(read_refusal(200, R"({"choices":[{"text":"x","finish_reason":"abort"}]})"),
                HasSubstr("abort"));
    EXPECT_THAT(read_refusal(401, "who are you"), HasSubstr("401"));
}

TEST(Reply, FindsACutPromptByItsTokens) {
    const std::string body =
        R"({"choices":[{"text":"x","finish_reason":"stop"}],"usage":{"prompt_tokens":90}})";
    EXPECT_THAT(read_refusal(200, body, 100), HasSubstr("read 90 prompt tokens where 100"));
    EXPECT_EQ(read_refusal(200, body, 90), "");
}

TEST(Reply, PutsThinkingThatAServerSetAsideBackIntoTheText) {
    const Reply reply = read_completion(
        {.status = 200,
         .body = R"({"choices":[{"message":{"content":"42","reasoning_content":"hm"},)"
                 R"("finish_reason":"stop"}]})"},
        {});
    EXPECT_EQ(std::get<Answer>(reply).text, "<think>hm</think>42");
}

Answer read_answer(const std::string& body, std::size_t sent = 0) {
    const Reply reply = read_completion({.status = 200, .body = body},
                                        {.tokens = sent == 0 ? std::nullopt : std::optional(sent)});
    if (const auto* refusal = std::get_if<Refusal>(&reply)) {
        ADD_FAILURE() << refusal->reason;
    }
    const auto* answer = std::get_if<Answer>(&reply);
    return answer == nullptr ? Answer{} : *answer;
}

TEST(Reply, TakesAnswersAsServersReallyWriteThem) {
    EXPECT_EQ(
        read_answer(R"({"error":null,"choices":[{"text":"42","finish_reason":"stop"}]})").text,
        "42");
    for (const char* usage :
         {"{}", R"({"prompt_tokens":null})", R"({"input_tokens":7,"output_tokens":9})", "null"}) {
        const Answer answer = read_answer(
            std::string(R"({"choices":[{"text":"42","finish_reason":"eos_token"}],"usage":)") +
                usage + "}",
            7);
        EXPECT_EQ(answer.text, "42");
        EXPECT_EQ(answer.prompt_tokens, 7U);
        EXPECT_EQ(answer.finish, language::FinishReason::end_of_text);
        EXPECT_EQ(answer.is_counted, std::string(usage).find("input") != std::string::npos);
    }
    EXPECT_EQ(read_answer(R"({"choices":[{"text":"4","finish_reason":"max_tokens"}]})").finish,
              language::FinishReason::length);
}

TEST(Reply, TellsThinkingFromAnswers) {
    const auto read = [](const std::string& message, const std::string& finish) {
        return read_answer(R"({"choices":[{"message":)" + message + R"(,"finish_reason":")" +
                           finish + R"("}]})");
    };
    // The budget ended inside the thinking.
    EXPECT_EQ(read(R"({"reasoning_content":"hm"})", "length").text, "<think>hm");
    EXPECT_EQ(read(R"({"content":null,"reasoning_content":"hm"})", "length").text, "<think>hm");
    // A parser took the whole answer for thinking.
    const Answer all = read(R"({"content":null,"reasoning_content":"It is 42."})", "stop");
    EXPECT_EQ(all.text, "It is 42.");
    EXPECT_TRUE(all.was_all_thinking);
    EXPECT_THAT(
        read_refusal(200, R"({"choices":[{"message":{"content":null},"finish_reason":"stop"}]})"),
        HasSubstr("answered with nothing"));
    EXPECT_THAT(read_refusal(200, R"({"choices":[{"text":null,"finish_reason":"stop"}]})"),
                HasSubstr("text is null"));
    EXPECT_THAT(read_refusal(200,
                             R"({"choices":[{"text":"","finish_reason":"stop"}],)"
                             R"("usage":{"completion_tokens":0}})"),
                HasSubstr("without a single token"));
    EXPECT_THAT(read_refusal(200, R"({"choices":[{"text":"42","finish_reason":null}]})"),
                HasSubstr("finish_reason is null"));
}

TEST(Reply, AsksAgainWhereAnErrorWithin200IsPassing) {
    const Reply passing = read_completion(
        {.status = 200, .body = R"({"error":{"message":"upstream timed out","code":504}})"}, {});
    EXPECT_THAT(std::get<Retry>(passing).reason, HasSubstr("upstream timed out"));
    EXPECT_THAT(read_refusal(200, R"({"error":{"message":"no such adapter","code":400}})"),
                HasSubstr("no such adapter"));
}

TEST(Reply, NamesTheSwitchThatAServerNeeds) {
    const auto refuse = [](int status, const std::string& body, PromptTransport transport) {
        const Reply reply = read_completion({.status = status, .body = body},
                                            {.transport = transport, .has_extensions = true});
        const Refusal& refusal = std::get<Refusal>(reply);
        EXPECT_TRUE(refusal.concerns_all) << refusal.reason;
        return refusal.reason;
    };
    EXPECT_THAT(refuse(404, R"({"detail":"Not Found"})", PromptTransport::token_ids),
                HasSubstr("--transport chat"));
    EXPECT_THAT(refuse(404, R"({"detail":"Not Found"})", PromptTransport::chat),
                HasSubstr("--transport text"));
    EXPECT_THAT(refuse(400,
                       R"({"error":{"message":"prompt: expected a string"}})",
                       PromptTransport::token_ids),
                HasSubstr("--transport text"));
    EXPECT_THAT(refuse(422,
                       R"({"detail":[{"type":"extra_forbidden","loc":["body","top_k"]}]})",
                       PromptTransport::text),
                HasSubstr("--plain-openai"));
}

TEST(EndpointBackEnd, StopsAtTenEqualRefusals) {
    ScriptedModel model(script);
    OpenAiServer server(
        model, [](std::size_t) -> Fault { return {{401, R"({"message": "who are you"})"}}; });
    EndpointBackEnd back_end(make_options(server), nullptr);
    try {
        static_cast<void>(ask(back_end, 500));
        ADD_FAILURE() << "asked all";
    } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::io);
        EXPECT_THAT(error.message(), HasSubstr("who are you"));
    }
    EXPECT_LT(server.requests(), 20U);
}

TEST(EndpointBackEnd, TellsAtOnceThatItAsksAgainAndEndsAfterTenInARow) {
    ScriptedModel model(script);
    // It answers five questions and is gone.
    OpenAiServer server(model, [](std::size_t request) -> Fault {
        return request < 5 ? std::nullopt : Fault{{502, "bad gateway"}};
    });
    EndpointBackEnd back_end(make_options(server), nullptr);
    std::size_t next = 0;
    std::vector<std::string> troubles;
    std::size_t failed = 0;
    try {
        back_end.answer(
            [&]() -> std::optional<Question> {
                return Question{
                    .id = std::to_string(next++), .input = "say x", .max_new_tokens = 8};
            },
            {.answered = [](const Question&, const Answer&) {},
             .failed = [&](const Question&, const std::string&) { ++failed; },
             .troubled = [&](const std::string& reason) { troubles.push_back(reason); }},
            {});
        ADD_FAILURE() << "went on for ever";
    } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::io);
        EXPECT_THAT(error.message(), HasSubstr("the last 10 questions"));
    }
    EXPECT_GE(failed, 10U);
    EXPECT_LT(failed, 14U);
    ASSERT_GE(troubles.size(), 1U);
    EXPECT_LE(troubles.size(), 5U);  // once, and again after an answer
    EXPECT_THAT(troubles.back(), HasSubstr("bad gateway"));
}

TEST(Reply, WaitsAsLongAsTheServerSays) {
    const Reply reply =
        read_completion({.status = 429, .body = "slow down", .retry_after = "2"}, {});
    EXPECT_EQ(std::get<Retry>(reply).wait, std::chrono::milliseconds(2000));
}

}  // namespace
}  // namespace anamnesis::eval
