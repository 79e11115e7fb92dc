// SPDX-License-Identifier: Apache-2.0
//
// The parts of jobs that verbs do not show: names of models, lengths, plans, scores, stops.
#include <cstddef>
#include <filesystem>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/progress.hpp"
#include "anamnesis/base/watch.hpp"
#include "anamnesis/eval/engine.hpp"
#include "anamnesis/eval/grade_job.hpp"
#include "anamnesis/eval/lengths.hpp"
#include "anamnesis/eval/ruler/haystack_plan.hpp"
#include "anamnesis/eval/scoreboard.hpp"

#include "temporary_folder.hpp"

namespace anamnesis::eval {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

ErrorKind kind_of_failure(const auto& run) {
    try {
        run();
    } catch (const Error& error) {
        return error.kind();
    }
    ADD_FAILURE() << "nothing was thrown";
    return ErrorKind::internal;
}

TEST(AskedModels, AreCalledByNameOrAfterTheirPlace) {
    const std::vector<std::string> words{"pre=a/b", "runs/post/"};
    const auto models = parse_asked_models(words, PlaceKind::folder);
    ASSERT_EQ(models.size(), 2U);
    EXPECT_EQ(models[0].name, "pre");
    EXPECT_EQ(models[0].place, "a/b");
    EXPECT_EQ(models[1].name, "post");
    EXPECT_EQ(models[1].place, "runs/post/");
    const std::vector<std::string> served{"org/model"};
    EXPECT_EQ(parse_asked_models(served, PlaceKind::served).front().name, "org/model");
}

TEST(AskedModels, ANameIsGivenOnce) {
    for (const std::vector<std::string>& words :
         {std::vector<std::string>{"a/x", "b/x"}, std::vector<std::string>{"=x"}}) {
        EXPECT_EQ(kind_of_failure(
                      [&] { static_cast<void>(parse_asked_models(words, PlaceKind::folder)); }),
                  ErrorKind::usage);
    }
}

TEST(AskedModels, HaveTheAdaptersThatNameThem) {
    const std::vector<std::string> two{"base=a", "tuned=a"};
    const auto parse = [](const std::vector<std::string>& words,
                          const std::vector<std::string>& adapters) {
        return parse_asked_models(words, PlaceKind::folder, adapters);
    };
    const auto models = parse(two, {"tuned=b/lora"});
    EXPECT_EQ(models[0].adapter, "");
    EXPECT_EQ(models[1].adapter, "b/lora");
    EXPECT_EQ(parse({"a"}, {"b/lora"}).front().adapter, "b/lora");
    for (const std::vector<std::string>& wrong : {std::vector<std::string>{"b/lora"},
                                                  std::vector<std::string>{"other=b/lora"},
                                                  std::vector<std::string>{"base=b", "base=c"}}) {
        EXPECT_EQ(kind_of_failure([&] { static_cast<void>(parse(two, wrong)); }), ErrorKind::usage);
    }
    const std::vector<std::string> adapters{"b/lora"};
    EXPECT_EQ(kind_of_failure(
                  [&] { static_cast<void>(parse_asked_models({}, PlaceKind::served, adapters)); }),
              ErrorKind::usage);
}

TEST(Lengths, AreNumbersThousandsOrDoublings) {
    EXPECT_THAT(parse_lengths({"1000", "4k", "4k..16K"}),
                ElementsAre(1000U, 4096U, 4096U, 8192U, 16384U));
    EXPECT_THAT(parse_lengths({"4k..4k"}), ElementsAre(4096U));
    for (const char* wrong : {"4m", "8k..1k", "1025..1k", "4k..", "..4k", ""}) {
        EXPECT_EQ(kind_of_failure([&] { static_cast<void>(parse_lengths({wrong})); }),
                  ErrorKind::usage)
            << wrong;
    }
    EXPECT_EQ(short_length(8192), "8K");
    EXPECT_EQ(short_length(1000), "1000");
}

TEST(HaystackPlan, MakesAGeneratorForEachLengthTaskAndDepth) {
    HaystackPlan plan{.tasks = {"s1", "s2"}, .lengths = {4096, 8192}, .depths = 3};
    const auto generators = make_generators(plan);
    ASSERT_EQ(generators.size(), 12U);
    EXPECT_EQ(generators[0].length, 4096U);
    EXPECT_EQ(generators[0].depth, 0U);
    EXPECT_EQ(generators[2].depth, 100U);
    EXPECT_EQ(generators[11].task.name, "niah_single_2");
    for (const HaystackPlan& repeated :
         {HaystackPlan{.tasks = {"s1", "niah_single_1"}, .lengths = {4096}},
          HaystackPlan{.tasks = {"s1"}, .lengths = {4096, 8192, 4096}}}) {
        EXPECT_EQ(kind_of_failure([&] { static_cast<void>(make_generators(repeated)); }),
                  ErrorKind::usage);
    }
    plan.wrapper = "no such wrapper";
    EXPECT_EQ(kind_of_failure([&] { static_cast<void>(make_generators(plan)); }), ErrorKind::usage);
}

TEST(HaystackPlan, HasNothingToSayOfPromptsThatAreRead) {
    EXPECT_NO_THROW(static_cast<void>(complete_haystack_plan({}, true)));
    for (const auto& [plan, option] :
         {std::pair(HaystackPlan{.tasks = {"s1"}}, "--tasks"),
          std::pair(HaystackPlan{.lengths = {4096}}, "--lengths"),
          std::pair(HaystackPlan{.samples = 5}, "--samples"),
          std::pair(HaystackPlan{.samples = 5, .seed = 9}, "--samples and --seed"),
          std::pair(HaystackPlan{.essays = "e.json"}, "--essays"),
          std::pair(HaystackPlan{.wrapper = "lwm-chat"}, "--template"),
          std::pair(HaystackPlan{.removes_newlines = true}, "--remove-newline-tab"),
          std::pair(HaystackPlan{.tokens_to_generate = 64}, "--tokens-to-generate"),
          std::pair(HaystackPlan{.depths = 3}, "--depths")}) {
        try {
            static_cast<void>(complete_haystack_plan(plan, true));
            ADD_FAILURE() << option;
        } catch (const Error& error) {
            EXPECT_EQ(error.kind(), ErrorKind::usage);
            EXPECT_THAT(error.message(), HasSubstr(std::string("leave out ") + option));
        }
    }
}

TEST(ScoreTable, AveragesByRowAndColumn) {
    ScoreTable table;
    table.add("s1", "4K", 1.0);
    table.add("s1", "4K", 0.0);
    table.add("s2", "8K", 1.0);
    EXPECT_THAT(table.rows(), ElementsAre("s1", "s2"));
    EXPECT_THAT(table.columns(), ElementsAre("4K", "8K"));
    ASSERT_TRUE(table.mean("s1", "4K").has_value());
    EXPECT_DOUBLE_EQ(table.mean("s1", "4K")->value, 0.5);
    EXPECT_EQ(table.mean("s1", "4K")->count, 2U);
    EXPECT_FALSE(table.mean("s1", "8K").has_value());
    const std::string text = to_text(table);
    EXPECT_THAT(text, HasSubstr("50.0 (2)"));
    EXPECT_THAT(text, HasSubstr("100.0 (1)"));
}

TEST(GradeJob, LeavesNothingWhenItIsStopped) {
    const testing::TemporaryFolder folder;
    const auto in = folder.write("answers.jsonl",
                                 R"({"id": "a", "gold": "1", "response": "1"})"
                                 "\n");
    std::stop_source source;
    source.request_stop();
    SilentProgress silent;
    const GradeJob job{.in = in, .out = folder.path() / "graded.jsonl"};
    EXPECT_EQ(kind_of_failure([&] {
                  static_cast<void>(grade_answers(job, Watch(silent, source.get_token())));
              }),
              ErrorKind::cancelled);
    EXPECT_FALSE(std::filesystem::exists(job.out));
    EXPECT_EQ(grade_answers(job, {}).correct(), 1U);
}

}  // namespace
}  // namespace anamnesis::eval
