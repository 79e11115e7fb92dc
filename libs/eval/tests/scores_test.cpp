// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/eval/scores.hpp"

#include <cstddef>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/progress.hpp"
#include "anamnesis/base/watch.hpp"
#include "anamnesis/eval/embedded_back_end.hpp"
#include "anamnesis/eval/ruler/niah_generator.hpp"
#include "anamnesis/eval/ruler/niah_task.hpp"
#include "anamnesis/language/scripted_model.hpp"

#include "needle_model.hpp"

namespace anamnesis::eval {
namespace {

/// Every byte a token: lengths are bytes then.
const TokenCounter bytes{.count = [](std::string_view text) { return text.size(); },
                         .cuts_before_spaces = true};

std::vector<Sample> make_needles(std::size_t samples) {
    NiahMaterials materials{.counter = bytes,
                            .words = WordPairs::wonderwords(),
                            .essays = EssayCorpus::built_in(bytes)};
    std::vector<NiahSettings> generators;
    for (const std::size_t length : {4096U, 8192U}) {
        for (const char* task : {"s1", "s2"}) {
            generators.push_back({.task = niah_task(task), .length = length});
        }
    }
    return make_samples(generators, samples, materials);
}

TEST(NeedleScores, AreTheShareThatAModelRemembers) {
    constexpr std::size_t samples = 12;
    const std::vector<Sample> asked = make_needles(samples);
    ASSERT_EQ(asked.size(), 4 * samples);
    constexpr std::size_t memory = 5000;
    auto model = testing::needle_model(memory);
    EmbeddedBackEnd back_end(model, {});
    const std::vector<NeedleScore> scores = score_needles(back_end, asked, {});
    ASSERT_EQ(scores.size(), 4U);
    for (std::size_t i = 0; i < scores.size(); ++i) {
        const NeedleScore& score = scores[i];
        EXPECT_EQ(score.task, i % 2 == 0 ? "niah_single_1" : "niah_single_2");
        EXPECT_EQ(score.length, i < 2 ? 4096U : 8192U);
        EXPECT_EQ(score.samples, samples);
        // What the same model answers to the same prompts, one by one.
        double sum = 0.0;
        for (const Sample& sample : asked) {
            if (sample.task == score.task && sample.length == score.length) {
                sum += judge_niah(sample, {.text = testing::recall(sample.prompt(), memory)}).score;
            }
        }
        EXPECT_DOUBLE_EQ(score.mean, sum / static_cast<double>(samples));
    }
    EXPECT_EQ(scores[0].mean, 1.0) << "4,096 bytes are within its memory";
    EXPECT_LT(scores[2].mean, 1.0) << "8,192 are not";
    EXPECT_GT(scores[2].mean, 0.0);
}

TEST(ProblemScores, AreTheShareOfRightAnswers) {
    const std::vector<Problem> problems{{.id = "a",
                                         .task = ReasoningTask::gsm8k,
                                         .question = "One and one?",
                                         .gold = "2",
                                         .solution = {}},
                                        {.id = "b",
                                         .task = ReasoningTask::gsm8k,
                                         .question = "Two and two?",
                                         .gold = "4",
                                         .solution = {}},
                                        {.id = "c",
                                         .task = ReasoningTask::gsm8k,
                                         .question = "Three and three?",
                                         .gold = "6",
                                         .solution = {}},
                                        {.id = "d",
                                         .task = ReasoningTask::gsm8k,
                                         .question = "Four and four?",
                                         .gold = "8",
                                         .solution = {}}};
    language::ScriptedModel model([](std::string_view prompt) {
        return std::string(prompt.find("Two") == std::string_view::npos ? "It is \\boxed{2}."
                                                                        : "It is \\boxed{4}.");
    });
    EmbeddedBackEnd back_end(model, {});
    EXPECT_EQ(score_problems(
                  back_end, problems, {.max_new_tokens = 64, .prompt = ReasonPrompt::zero_shot()}),
              0.5);
}

TEST(Scores, EndWhereTheyAreStoppedOrCannotBeAnswered) {
    const std::vector<Sample> asked = make_needles(2);
    std::stop_source source;
    std::size_t answered = 0;
    language::ScriptedModel model([&](std::string_view prompt) {
        if (++answered == 3) {
            source.request_stop();
        }
        return testing::recall(prompt, prompt.size());
    });
    SilentProgress silent;
    EmbeddedBackEnd back_end(model, {});
    try {
        score_needles(back_end, asked, {}, Watch(silent, source.get_token()));
        ADD_FAILURE() << "it went on";
    } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::cancelled);
    }
    EXPECT_LE(answered, 4U) << "it asked on after the stop";

    language::ScriptedModel small([](std::string_view) { return std::string("none"); }, 6000);
    EmbeddedBackEnd too_small(small, {});
    try {
        score_needles(too_small, asked, {});
        ADD_FAILURE() << "questions without an answer were scored";
    } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::unsupported);
        EXPECT_NE(std::string(error.what()).find("niah_single_1-8192-0"), std::string::npos)
            << error.what();
    }
}

}  // namespace
}  // namespace anamnesis::eval
