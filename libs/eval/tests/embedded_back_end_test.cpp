// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/eval/embedded_back_end.hpp"

#include <cstddef>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "anamnesis/base/random.hpp"
#include "anamnesis/eval/back_end.hpp"
#include "anamnesis/language/language_model.hpp"
#include "anamnesis/language/scripted_model.hpp"

namespace anamnesis::eval {
namespace {

using language::ScriptedModel;
using ::testing::HasSubstr;

/// Answers with the length of its prompt and its last word.
std::string script(std::string_view prompt) {
    return std::to_string(prompt.size()) + " " + std::string(prompt.substr(prompt.rfind(' ') + 1));
}

std::vector<Question> random_questions(std::size_t count) {
    Random random(3);
    std::string haystack;
    for (int i = 0; i < 400; ++i) {
        haystack += "word" + std::to_string(random.below(1000)) + " ";
    }
    std::vector<Question> questions;
    for (std::size_t i = 0; i < count; ++i) {
        const std::size_t cut = random.below(haystack.size());
        questions.push_back({.id = std::to_string(i),
                             .input = haystack.substr(0, cut) + "needle" + std::to_string(i % 7) +
                                      haystack.substr(cut, 200),
                             .answer_prefix = " is",
                             .max_new_tokens = 20});
    }
    return questions;
}

std::map<std::string, Answer> ask(BackEnd& back_end, const std::vector<Question>& questions) {
    std::map<std::string, Answer> answers;
    std::size_t next = 0;
    back_end.answer(
        [&]() -> std::optional<Question> {
            return next == questions.size() ? std::nullopt : std::optional(questions[next++]);
        },
        {.answered = [&](const Question& question,
                         const Answer& answer) { answers.emplace(question.id, answer); },
         .failed = [](const Question& question,
                      const std::string& reason) { FAIL() << question.id << ": " << reason; }},
        {});
    return answers;
}

TEST(EmbeddedBackEnd, GivesTheSameAnswersWithAndWithoutSharing) {
    const std::vector<Question> questions = random_questions(60);
    ScriptedModel model(script);
    EmbeddedBackEnd alone(model, {.prefill_chunk = 16, .shares_prefixes = false});
    const auto expected = ask(alone, questions);
    ASSERT_EQ(expected.size(), questions.size());
    for (const std::size_t snapshots : {1U, 3U, 32U}) {
        EmbeddedBackEnd shared(model, {.prefill_chunk = 16, .most_snapshots = snapshots});
        const auto answers = ask(shared, questions);
        ASSERT_EQ(answers.size(), questions.size());
        for (const auto& [id, answer] : answers) {
            EXPECT_EQ(answer.text, expected.at(id).text) << id;
            EXPECT_EQ(answer.prompt_tokens, expected.at(id).prompt_tokens);
        }
        EXPECT_EQ(shared.saving()->prompt_tokens, alone.saving()->prompt_tokens);
        EXPECT_LT(shared.saving()->prefilled_tokens, alone.saving()->prefilled_tokens);
    }
    EXPECT_EQ(alone.saving()->prompt_tokens, alone.saving()->prefilled_tokens);
}

TEST(EmbeddedBackEnd, ReadsEqualPromptsOnce) {
    std::vector<Question> questions;
    for (int i = 0; i < 40; ++i) {
        questions.push_back({.id = std::to_string(i), .input = "the same prompt for all"});
    }
    ScriptedModel model(script);
    EmbeddedBackEnd back_end(model, {.batch = 16});
    EXPECT_EQ(ask(back_end, questions).size(), 40U);
    EXPECT_EQ(back_end.saving()->prefilled_tokens, questions.front().input.size());
}

/// Notes how many answers are asked for together.
class CountingModel final : public language::LanguageModel {
public:
    std::vector<std::size_t> batches;

    std::vector<language::TokenId> encode(std::string_view text) const override {
        return model_.encode(text);
    }
    std::string decode(std::span<const language::TokenId> tokens) const override {
        return model_.decode(tokens);
    }
    std::size_t context_length() const override { return model_.context_length(); }
    std::vector<language::TokenId> end_of_text() const override { return model_.end_of_text(); }
    std::unique_ptr<language::Sequence> start() override { return model_.start(); }
    void prefill(language::Sequence& sequence,
                 std::span<const language::TokenId> tokens,
                 const language::PrefillProgress& progress,
                 const std::stop_token& cancel) override {
        model_.prefill(sequence, tokens, progress, cancel);
    }
    std::vector<language::Generation> generate(std::span<language::Sequence* const> sequences,
                                               const language::DecodingOptions& options) override {
        batches.push_back(sequences.size());
        return model_.generate(sequences, options);
    }
    std::vector<language::TokenScore> score(
        const language::Sequence& sequence,
        std::span<const language::TokenId> continuation) override {
        return model_.score(sequence, continuation);
    }

private:
    ScriptedModel model_{script};
};

std::vector<Question> differing_questions(std::size_t count, std::size_t length) {
    std::vector<Question> questions;
    for (std::size_t i = 0; i < count; ++i) {
        const auto letter = static_cast<char>('a' + static_cast<char>(i));
        questions.push_back({.id = std::to_string(i), .input = std::string(length, letter)});
    }
    return questions;
}

TEST(EmbeddedBackEnd, AnswersDifferentPromptsTogether) {
    CountingModel model;
    EmbeddedBackEnd back_end(model, {.batch = 4});
    const std::vector<Question> questions = differing_questions(10, 5);
    const auto answers = ask(back_end, questions);
    EXPECT_EQ(model.batches, (std::vector<std::size_t>{4, 4, 2}));
    for (const Question& question : questions) {
        EXPECT_EQ(answers.at(question.id).text, script(question.input));
        EXPECT_EQ(answers.at(question.id).prompt_tokens, question.input.size());
    }
    EXPECT_EQ(back_end.saving()->prompt_tokens, 50U);
}

TEST(EmbeddedBackEnd, HoldsNoMoreTokensOfPromptsThanABatchMay) {
    CountingModel model;
    EmbeddedBackEnd back_end(model, {.batch_tokens = 100});
    std::vector<Question> questions = differing_questions(5, 40);
    questions.push_back({.id = "long", .input = std::string(300, 'z')});
    EXPECT_EQ(ask(back_end, questions).size(), 6U);
    EXPECT_EQ(model.batches, (std::vector<std::size_t>{2, 2, 1, 1}));
}

TEST(EmbeddedBackEnd, AnswersTogetherOnlyWhatIsDecodedAlike) {
    CountingModel model;
    EmbeddedBackEnd back_end(model, {});
    std::vector<Question> questions = differing_questions(6, 5);
    questions[2].max_new_tokens = 3;
    questions[4].stop = {"c"};
    questions[5].sampling.temperature = 1.0;
    const auto answers = ask(back_end, questions);
    EXPECT_EQ(model.batches, (std::vector<std::size_t>{2, 1, 1, 1, 1}));
    EXPECT_EQ(answers.at("2").text, script(questions[2].input).substr(0, 3));
}

TEST(EmbeddedBackEnd, ScoresTheExpectedContinuation) {
    ScriptedModel model([](std::string_view) { return std::string(" 42."); });
    EmbeddedBackEnd back_end(model, {});
    const auto right = ask(back_end, {{.id = "a", .input = "x", .expected = " 42"}});
    const auto wrong = ask(back_end, {{.id = "a", .input = "x", .expected = " 99"}});
    ASSERT_TRUE(right.at("a").expected_logprob && wrong.at("a").expected_logprob);
    EXPECT_GT(*right.at("a").expected_logprob, *wrong.at("a").expected_logprob);
}

TEST(EmbeddedBackEnd, ScoresWhatEachOfEqualPromptsExpects) {
    ScriptedModel model([](std::string_view) { return std::string(" 42."); });
    EmbeddedBackEnd back_end(model, {});
    const auto answers = ask(back_end,
                             {{.id = "right", .input = "x", .expected = " 42"},
                              {.id = "wrong", .input = "x", .expected = " 99"},
                              {.id = "none", .input = "x"}});
    const auto alone = ask(back_end, {{.id = "wrong", .input = "x", .expected = " 99"}});
    EXPECT_GT(answers.at("right").expected_logprob, answers.at("wrong").expected_logprob);
    EXPECT_EQ(answers.at("wrong").expected_logprob, alone.at("wrong").expected_logprob);
    EXPECT_EQ(answers.at("none").expected_logprob, std::nullopt);
}

TEST(EmbeddedBackEnd, TellsOfAPromptThatDoesNotFitAndGoesOn) {
    ScriptedModel model(script, 64);
    EmbeddedBackEnd back_end(model, {});
    const std::vector<Question> questions{
        {.id = "long", .input = std::string(100, 'x'), .max_new_tokens = 8},
        {.id = "short", .input = "x", .max_new_tokens = 8}};
    std::vector<std::string> answered;
    std::string reason;
    std::size_t next = 0;
    back_end.answer(
        [&]() -> std::optional<Question> {
            return next == questions.size() ? std::nullopt : std::optional(questions[next++]);
        },
        {.answered = [&](const Question& question,
                         const Answer&) { answered.push_back(question.id); },
         .failed = [&](const Question&, const std::string& why) { reason = why; }},
        {});
    EXPECT_EQ(answered, std::vector<std::string>{"short"});
    EXPECT_THAT(reason, HasSubstr("100 tokens"));
    EXPECT_THAT(reason, HasSubstr("takes 64"));
}

TEST(EmbeddedBackEnd, StopsWhenItIsTold) {
    std::stop_source stop;
    ScriptedModel model(script);
    EmbeddedBackEnd back_end(model, {.batch = 1});
    std::size_t answered = 0;
    std::size_t asked = 0;
    back_end.answer(
        [&]() -> std::optional<Question> {
            return asked == 10 ? std::nullopt
                               : std::optional(Question{.id = std::to_string(asked++),
                                                        .input = std::to_string(asked)});
        },
        {.answered =
             [&](const Question&, const Answer&) {
                 ++answered;
                 stop.request_stop();
             },
         .failed = {}},
        stop.get_token());
    EXPECT_EQ(answered, 1U);
}

}  // namespace
}  // namespace anamnesis::eval
