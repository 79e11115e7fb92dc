// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/eval/reason.hpp"

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "anamnesis/base/error.hpp"
#include "anamnesis/eval/reason_summary.hpp"

namespace anamnesis::eval {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

std::vector<Problem> problems(std::size_t count) {
    std::vector<Problem> list;
    for (std::size_t i = 0; i < count; ++i) {
        list.push_back({.id = "p" + std::to_string(i),
                        .task = ReasoningTask::gsm8k,
                        .question = "what is " + std::to_string(i) + " + 1?",
                        .gold = std::to_string(i + 1),
                        .solution = "It is one more."});
    }
    return list;
}

Problem asking(const std::string& question) {
    Problem problem;
    problem.question = question;
    return problem;
}

TEST(ReasonPrompt, PutsTheQuestionBeforeTheUsualInstruction) {
    EXPECT_EQ(ReasonPrompt::zero_shot().render(problems(1).front()),
              "what is 0 + 1?\nPlease reason step by step, and put your final answer within "
              "\\boxed{}.");
}

TEST(ReasonPrompt, DrawsExamplesByTheSeedAndWithoutRepeats) {
    const ReasonPrompt prompt = ReasonPrompt::few_shot(problems(20), 8, 1);
    EXPECT_EQ(prompt.pattern, ReasonPrompt::few_shot(problems(20), 8, 1).pattern);
    EXPECT_NE(prompt.pattern, ReasonPrompt::few_shot(problems(20), 8, 2).pattern);
    const std::string text = prompt.render(asking("the question"));
    EXPECT_THAT(text, StartsWith("Question: what is "));
    EXPECT_TRUE(text.ends_with("\n\nQuestion: the question\nAnswer:"));
    std::set<std::string> examples;
    std::size_t count = 0;
    for (std::size_t at = text.find("#### "); at != std::string::npos;
         at = text.find("#### ", at + 1)) {
        examples.insert(text.substr(at, text.find('\n', at) - at));
        ++count;
    }
    EXPECT_EQ(count, 8U);
    EXPECT_EQ(examples.size(), 8U);
    EXPECT_EQ(prompt.stop, std::vector<std::string>{"Question:"});
    EXPECT_THROW(ReasonPrompt::few_shot(problems(3), 8, 1), Error);
}

TEST(ReasonPrompt, RefusesATemplateWithoutItsSlot) {
    EXPECT_THROW(ReasonPrompt::own("solve it"), Error);
    EXPECT_EQ(ReasonPrompt::own("Q {question} A").render(asking("x")), "Q x A");
}

TEST(ReasonItems, RefuseEqualSamples) {
    try {
        reason_items(problems(1), {.samples = 4, .sampling = {.temperature = 0.0}});
        FAIL();
    } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::usage);
        EXPECT_THAT(error.message(), HasSubstr("4 equal answers"));
    }
}

TEST(ReasonItems, GiveEverySampleASeedOfItsOwn) {
    const NextItem next =
        reason_items(problems(3), {.samples = 4, .sampling = {.temperature = 0.6}, .seed = 9});
    std::set<std::string> ids;
    std::set<std::uint64_t> seeds;
    while (const auto item = next()) {
        ids.insert(item->question.id);
        seeds.insert(item->question.sampling.seed);
    }
    EXPECT_EQ(ids.size(), 12U);
    EXPECT_EQ(seeds.size(), 12U);
    EXPECT_EQ(sample_seed(9, "p1", 2), sample_seed(9, "p1", 2));
    EXPECT_NE(sample_seed(9, "p1", 2), sample_seed(8, "p1", 2));
}

TEST(ReasonItems, GradeAnAnswerAndReadTheLineBack) {
    const NextItem next = reason_items(problems(2), {.samples = 1});
    next();
    const auto item = next();
    Json line = Json::Object{{"checkpoint", "post"}, {"id", item->question.id}};
    const Json verdict = item->judge(
        {.text = "Two. #### 2", .finish = language::FinishReason::length, .new_tokens = 7});
    for (const auto& [key, value] : verdict.as_object("verdict")) {
        line.set(key, value);
    }
    const ReasonResult result = read_reason_result(line);
    EXPECT_TRUE(result.is_correct);
    EXPECT_TRUE(result.is_truncated);
    EXPECT_EQ(result.problem, "p1");
    EXPECT_EQ(result.extracted, "2");
    EXPECT_EQ(result.new_tokens, 7U);
    EXPECT_FALSE(item->judge({.text = "#### 3"}).at("correct").as_boolean("correct"));
    // Cut before its answer: the 2 it happens to speak of is none.
    const Json cut =
        item->judge({.text = "He sold 2 clips.", .finish = language::FinishReason::length});
    EXPECT_FALSE(cut.at("correct").as_boolean("correct"));
    EXPECT_EQ(cut.at("reason").as_string("reason"), "unfinished");
}

TEST(ReasonSummary, IntervalsOfFewProblemsAreWilsons) {
    const std::vector<ReasonResult> list{
        {.checkpoint = "post", .problem = "a", .is_correct = true, .response = "#### 5"},
        {.checkpoint = "post", .problem = "b", .is_correct = false, .response = "#### 6"}};
    const ReasonCell cell = summarise(list, {}).cells.front();
    EXPECT_NEAR(cell.interval.low, 0.0945, 1e-4);
    EXPECT_NEAR(cell.interval.high, 0.9055, 1e-4);
}

/// `right` of four samples of each problem are right; wrong ones disagree with one another.
std::vector<ReasonResult> results(const std::string& checkpoint, const std::vector<int>& right) {
    std::vector<ReasonResult> list;
    for (std::size_t p = 0; p < right.size(); ++p) {
        for (int s = 0; s < 4; ++s) {
            const bool is_right = s < right[p];
            list.push_back(
                {.checkpoint = checkpoint,
                 .problem = "p" + std::to_string(p),
                 .task = ReasoningTask::gsm8k,
                 .sample = static_cast<std::size_t>(s),
                 .is_correct = is_right,
                 .reason = is_right ? grading::Reason::equal_number : grading::Reason::different,
                 .new_tokens = 10,
                 .response = is_right ? "#### 5" : "#### " + std::to_string(90 + s)});
        }
    }
    return list;
}

TEST(ReasonSummary, ClustersByProblem) {
    const auto list = results("post", {4, 2, 0, 2});
    const ReasonSummary summary = summarise(list, {});
    ASSERT_EQ(summary.cells.size(), 1U);
    const ReasonCell& cell = summary.cells.front();
    EXPECT_EQ(cell.problems, 4U);
    EXPECT_EQ(cell.samples, 16U);
    EXPECT_DOUBLE_EQ(cell.average.mean, 0.5);
    // Standard deviation of 1, 0.5, 0, 0.5 is sqrt(1/6); over the root of four problems.
    EXPECT_NEAR(cell.average.standard_error, std::sqrt(1.0 / 6.0) / 2.0, 1e-12);
    // pass@2 of two right in four: 1 - C(2,2)/C(4,2).
    ASSERT_EQ(cell.pass.size(), 3U);
    EXPECT_NEAR(cell.pass[1].second, (1.0 + 5.0 / 6.0 + 0.0 + 5.0 / 6.0) / 4.0, 1e-12);
    EXPECT_DOUBLE_EQ(cell.pass[2].second, 0.75);
    // Two right ones agree, two wrong ones do not.
    EXPECT_DOUBLE_EQ(cell.majority, 0.75);
}

TEST(ReasonSummary, TellsPassAtTheNumberOfSamplesItself) {
    std::vector<ReasonResult> list;
    for (std::size_t sample = 0; sample < 5; ++sample) {
        list.push_back({.checkpoint = "post",
                        .problem = "p",
                        .sample = sample,
                        .is_correct = sample == 4,
                        .response = "#### 5"});
    }
    const ReasonSummary summary = summarise(list, {});
    const auto& pass = summary.cells.front().pass;
    ASSERT_EQ(pass.size(), 4U);  // 1, 2, 4, 5
    EXPECT_DOUBLE_EQ(pass[2].second, 0.8);
    EXPECT_EQ(pass[3].first, 5U);
    EXPECT_DOUBLE_EQ(pass[3].second, 1.0);
}

TEST(ReasonSummary, ComparesOnTheSameProblems) {
    auto list = results("pre", {0, 1, 0, 1});
    const auto post = results("post", {4, 3, 4, 3});
    list.insert(list.end(), post.begin(), post.end());
    const ReasonSummary summary = summarise(list, {.pre = "pre", .post = "post", .repaired = {}});
    ASSERT_EQ(summary.comparisons.size(), 1U);
    EXPECT_DOUBLE_EQ(summary.comparisons.front().difference.difference.mean, 0.75);
    EXPECT_LT(summary.comparisons.front().difference.p_value, 0.05);
    EXPECT_GT(summary.comparisons.front().bootstrap.low, 0.4);
}

}  // namespace
}  // namespace anamnesis::eval
