// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/eval/niah.hpp"

#include <optional>
#include <set>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "anamnesis/base/digest.hpp"
#include "anamnesis/base/error.hpp"
#include "anamnesis/eval/niah_summary.hpp"
#include "anamnesis/eval/preflight.hpp"
#include "anamnesis/eval/ruler/niah_generator.hpp"

namespace anamnesis::eval {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

/// Every byte a token: lengths are bytes then.
const TokenCounter bytes{.count = [](std::string_view text) { return text.size(); },
                         .cuts_before_spaces = true};

NiahMaterials materials() {
    return {.counter = bytes,
            .words = WordPairs("brave\ncalm\neager\n", "apple\nbear\ncedar\ndelta\n"),
            .essays = EssayCorpus::built_in(bytes)};
}

NiahVerdict judge(const std::string& text,
                  language::FinishReason finish = language::FinishReason::end_of_text) {
    const Sample sample{.references = {"1234567"}, .distractors = {"7654321"}};
    return judge_niah(sample, {.text = text, .finish = finish});
}

TEST(NiahVerdict, TellsRightFromWrongAndHow) {
    EXPECT_EQ(judge(" 1234567.").score, 1.0);
    EXPECT_TRUE(judge(" 1234567.").is_first_exact);
    EXPECT_EQ(judge(" 91234567").score, 1.0);
    EXPECT_FALSE(judge(" 91234567").is_first_exact);
    EXPECT_FALSE(judge(" 7654321 or 1234567").is_first_exact);
    EXPECT_TRUE(judge(" 7654321 or 1234567").has_wrong_needle);
    EXPECT_EQ(judge(" 7654321").score, 0.0);
    EXPECT_TRUE(judge(" \n").is_empty);
    EXPECT_TRUE(judge("????????????????????????????????").is_degenerate);
    EXPECT_FALSE(judge(" 1234567.").is_degenerate);
    EXPECT_TRUE(judge("x", language::FinishReason::length).is_truncated);
}

TEST(NiahVerdict, JudgesWhatFollowsTheThinking) {
    EXPECT_EQ(judge("<think>1234567</think> I do not know").score, 0.0);
    EXPECT_EQ(judge("<think>hm</think> 1234567").score, 1.0);
    EXPECT_TRUE(judge("<think>it is 1234567").is_unfinished);
    EXPECT_EQ(judge("<think>it is 1234567").score, 0.0);
}

TEST(NiahGenerator, WritesTheToyPromptsOfRuler) {
    // SHA-256 of prompts that RULER's niah.py wrote with this vocabulary, five units, seed 42.
    struct Toy {
        const char* task;
        const char* digest;
        std::size_t size;
        const char* answer;
    };
    for (const Toy& toy : {Toy{"niah_single_1", "2250cd067100df47", 798, "2867825"},
                           Toy{"niah_multikey_2", "c41ad5c299165ce3", 657, "2867825"},
                           Toy{"niah_multikey_3",
                               "3114dc4a6cbb6d37",
                               1012,
                               "23b8c1e9-3924-46de-beb1-3b9046685257"}}) {
        NiahMaterials shared = materials();
        const Sample sample = NiahGenerator::unfitted(
            {.task = niah_task(toy.task), .length = 4000, .seed = 42}, shared, 5);
        EXPECT_EQ(sample.prompt().size(), toy.size) << toy.task;
        EXPECT_EQ(compute_sha256(sample.prompt()).substr(0, 16), toy.digest) << toy.task;
        EXPECT_EQ(sample.references.front(), toy.answer) << toy.task;
    }
}

TEST(NiahGenerator, FillsTheLengthAndKeepsItsDepthInASweep) {
    NiahMaterials shared = materials();
    for (const char* task : {"s1", "s2", "multikey_2"}) {
        for (const std::uint32_t depth : {0U, 50U, 100U}) {
            NiahGenerator generator(
                {.task = niah_task(task), .length = 8000, .seed = 1, .depth = depth}, shared);
            for (int i = 0; i < 3; ++i) {
                const Sample sample = generator.next();
                const std::size_t used = sample.prompt_tokens + 128;
                EXPECT_LE(used, 8000U) << task;
                EXPECT_GT(used, 7800U) << task << " " << depth;
                EXPECT_EQ(sample.depth, depth);
                const double place =
                    static_cast<double>(sample.input.find(sample.references.front())) /
                    static_cast<double>(sample.input.size());
                EXPECT_NEAR(place, depth / 100.0, 0.06) << task;
            }
        }
    }
}

TEST(NiahGenerator, RefusesALengthThatNothingFits) {
    NiahMaterials shared = materials();
    try {
        NiahGenerator({.task = niah_task("s2"), .length = 600}, shared).next();
        FAIL();
    } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::usage);
        EXPECT_THAT(error.message(), HasSubstr("600"));
    }
}

TEST(NiahItems, HaveIdsOfTheirOwnAndTheSameInEveryProcess) {
    const auto ids = [] {
        NiahMaterials shared = materials();
        std::vector<NiahSettings> generators;
        for (const std::size_t length : {5000U, 9000U}) {
            for (const std::uint32_t depth : {0U, 100U}) {
                generators.push_back({.task = niah_task("s2"), .length = length, .depth = depth});
            }
        }
        const NextItem next = niah_items(generators, 3, shared, {});
        std::vector<std::string> result;
        while (const auto item = next()) {
            result.push_back(item->question.id);
        }
        return result;
    };
    const auto first = ids();
    EXPECT_EQ(first.size(), 12U);
    EXPECT_EQ(std::set<std::string>(first.begin(), first.end()).size(), 12U);
    EXPECT_EQ(first, ids());
}

struct Preflight : ::testing::Test {
    Sample sample{.task = "niah_single_2",
                  .length = 4096,
                  .input = "question",
                  .answer_prefix = " The answer is",
                  .references = {"1234567"}};
    Question question{.input = "question", .answer_prefix = " The answer is"};
    PreflightFacts facts{.context_length = 4096, .count_tokens = bytes.count};

    std::string refusal() const {
        try {
            check_needle(sample, question, true, facts);
        } catch (const Error& error) {
            EXPECT_EQ(error.kind(), ErrorKind::usage);
            return error.message();
        }
        return "";
    }
};

TEST_F(Preflight, LetsASoundRunPass) {
    EXPECT_EQ(refusal(), "");
}

TEST_F(Preflight, RefusesAMissingPrefix) {
    sample.answer_prefix.clear();
    EXPECT_THAT(refusal(), HasSubstr("no answer_prefix"));
}

TEST_F(Preflight, RefusesABudgetWithoutRoomForTheAnswer) {
    question.max_new_tokens = 5;
    EXPECT_THAT(refusal(), HasSubstr("has 9 tokens, --max-tokens allows 5"));
}

TEST_F(Preflight, RefusesAContextThatIsTooSmall) {
    facts.context_length = 100;
    facts.less = "--lengths";
    EXPECT_THAT(refusal(), AllOf(HasSubstr("the model 100"), HasSubstr("(--lengths)")));
    EXPECT_THAT(refusal(), HasSubstr("--context-length"));
    facts.is_served = true;
    EXPECT_THAT(refusal(), HasSubstr("start the server with a larger context"));
}

TEST(NiahSummary, ComparesOnTheSameSamples) {
    std::vector<NiahResult> results;
    const auto add = [&](const char* checkpoint, int right, int total) {
        for (int i = 0; i < total; ++i) {
            results.push_back({.checkpoint = checkpoint,
                               .id = "q" + std::to_string(i),
                               .task = "niah_single_2",
                               .length = 4096,
                               .depth = static_cast<std::uint32_t>(10 * (i % 10)),
                               .verdict = {.score = i < right ? 1.0 : 0.0}});
        }
    };
    add("pre", 100, 100);
    add("post", 20, 100);
    add("repaired", 80, 100);
    const auto roles = assign_roles(list_checkpoints(results));
    EXPECT_EQ(roles.pre, "pre");
    EXPECT_EQ(roles.post, "post");
    const NiahSummary summary = summarise(results, roles, Depths::random);
    ASSERT_EQ(summary.cells.size(), 3U);
    EXPECT_DOUBLE_EQ(summary.cells[1].score, 0.2);
    EXPECT_NEAR(summary.cells[1].interval.low, 0.1334, 1e-3);
    ASSERT_EQ(summary.comparisons.size(), 3U);
    EXPECT_NEAR(summary.comparisons[0].difference, -0.8, 1e-12);
    EXPECT_EQ(summary.comparisons[0].only_first, 80U);
    EXPECT_LT(summary.comparisons[0].p_value, 1e-20);
    ASSERT_EQ(summary.recoveries.size(), 1U);
    EXPECT_NEAR(summary.recoveries[0].share.share.value(), 0.75, 1e-12);
    EXPECT_EQ(summary.depth_cells.size(), 30U);
}

}  // namespace
}  // namespace anamnesis::eval
