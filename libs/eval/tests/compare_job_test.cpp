// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/eval/compare_job.hpp"

#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "anamnesis/base/json.hpp"
#include "anamnesis/eval/endpoint_back_end.hpp"
#include "anamnesis/language/scripted_model.hpp"
#include "anamnesis/language/tokenizer.hpp"

#include "endpoint/reply.hpp"
#include "openai_server.hpp"

namespace anamnesis::eval {
namespace {

using ::testing::HasSubstr;

/// A tokenizer whose ids are bytes, as those of the scripted model.
language::Tokenizer byte_tokenizer() {
    Json vocabulary = Json::object();
    for (int c = 32; c < 127; ++c) {
        vocabulary.set(std::string(1, static_cast<char>(c)), std::int64_t{c});
    }
    const Json file = Json::Object{
        {"version", "1.0"},
        {"added_tokens", Json::array()},
        {"model",
         Json::Object{
             {"type", "BPE"}, {"vocab", std::move(vocabulary)}, {"merges", Json::array()}}},
        {"decoder", Json::Object{{"type", "Fuse"}}}};
    return language::Tokenizer::read(file.dump());
}

class Comparison : public ::testing::Test {
protected:
    EngineComparison compare(const std::string& ours, const std::string& engines) {
        language::ScriptedModel own([ours](std::string_view) { return ours; });
        language::ScriptedModel other([engines](std::string_view) { return engines; });
        OpenAiServer server(other);
        EndpointBackEnd engine({.url = server.url(),
                                .model = "",
                                .transport = PromptTransport::text,
                                .first_pause = std::chrono::milliseconds(1)},
                               nullptr);
        return compare_engine(
            engine, own, tokenizer_, {}, {{.id = "q", .input = "prompt", .max_new_tokens = 8}}, {});
    }

    language::Tokenizer tokenizer_ = byte_tokenizer();
};

TEST_F(Comparison, FindsEqualAnswersEqual) {
    const EngineComparison found = compare("the cat", "the cat");
    EXPECT_EQ(found.count(Agreement::equal), 1U);
    EXPECT_EQ(found.answers.front().equal_tokens, 7U);
    EXPECT_EQ(found.answers.front().prompt_tokens, 6U);
    // Both go on to the end of the budget.
    EXPECT_EQ(compare("the cat sat", "the cat slept").count(Agreement::equal), 1U);
}

TEST_F(Comparison, NamesTheFirstTokenThatDiffersWithBothLogits) {
    const ComparedAnswer answer = compare("the cat", "the dog").answers.front();
    EXPECT_EQ(answer.agreement, Agreement::different);
    EXPECT_EQ(answer.equal_tokens, 4U);
    EXPECT_EQ(answer.ours.text, "c");
    EXPECT_EQ(answer.engines.text, "d");
    ASSERT_TRUE(answer.ours.logit && answer.engines.logit);
    EXPECT_NEAR(*answer.ours.logit, std::log(0.9), 1e-9);
    EXPECT_NEAR(*answer.engines.logit, std::log(0.1 / 256), 1e-9);
}

TEST_F(Comparison, TakesTheEndOfAnAnswerForAToken) {
    const ComparedAnswer longer = compare("the", "them").answers.front();
    EXPECT_EQ(longer.agreement, Agreement::different);
    EXPECT_EQ(longer.equal_tokens, 3U);
    EXPECT_EQ(longer.ours.id, language::ScriptedModel::end_token);
    EXPECT_EQ(longer.engines.text, "m");
    const ComparedAnswer shorter = compare("them", "the").answers.front();
    EXPECT_EQ(shorter.engines.id, language::ScriptedModel::end_token);
    EXPECT_EQ(shorter.ours.text, "m");
}

TEST_F(Comparison, PrintsAWordAnAnswer) {
    EXPECT_THAT(to_text(compare("the cat", "the dog")),
                HasSubstr("0 equal, 0 near ties, 1 different"));
    const Json json = to_json(compare("the cat", "the dog"));
    EXPECT_EQ(json.at("different").as_unsigned("different"), 1U);
}

TEST(NearTieMargin, IsTwoStepsOfBfloat16) {
    EXPECT_DOUBLE_EQ(near_tie_margin(20.0), 2 * 16.0 / 128);
    EXPECT_DOUBLE_EQ(near_tie_margin(-3.9), 2 * 2.0 / 128);
    EXPECT_DOUBLE_EQ(near_tie_margin(0.1), 2 * 1.0 / 128);
    EXPECT_DOUBLE_EQ(near_tie_margin(0.0), 2 * 1.0 / 128);
}

TEST(AnswerTokens, AreReadInEveryFormThatServersHave) {
    const auto read = [](const std::string& choice) {
        const Reply reply = read_completion(
            {.status = 200, .body = R"({"choices":[)" + choice + "]}"}, {.wants_tokens = true});
        return std::get<Answer>(reply).tokens;
    };
    const auto columns = read(
        R"({"text":"ab","finish_reason":"stop","token_ids":[5,6],"logprobs":{"tokens":["a","b"],)"
        R"("token_logprobs":[-0.5,null],"top_logprobs":[{"a":-0.5,"x":-2},null]}})");
    ASSERT_EQ(columns.size(), 2U);
    EXPECT_EQ(columns[0].id, 5);
    EXPECT_EQ(columns[0].logprob, -0.5);
    EXPECT_EQ(columns[0].alternatives.at("x"), -2.0);
    EXPECT_EQ(columns[1].text, "b");
    EXPECT_FALSE(columns[1].logprob.has_value());
    const auto entries =
        read(R"({"message":{"content":"a"},"finish_reason":"stop","logprobs":{"content":[{"id":7,)"
             R"("token":"a","logprob":-1,"top_logprobs":[{"token":"z","logprob":-3}]}]}})");
    ASSERT_EQ(entries.size(), 1U);
    EXPECT_EQ(entries[0].id, 7);
    EXPECT_EQ(entries[0].alternatives.at("z"), -3.0);
    EXPECT_TRUE(read(R"({"text":"ab","finish_reason":"stop","logprobs":null})").empty());
}

}  // namespace
}  // namespace anamnesis::eval
