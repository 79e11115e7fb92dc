// SPDX-License-Identifier: Apache-2.0
//
// Reasoning through the real binary, against a server that knows some answers.
#include <chrono>
#include <cstddef>
#include <map>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/io/file.hpp"
#include "anamnesis/language/scripted_model.hpp"

#include "json_schema.hpp"
#include "needle_model.hpp"
#include "openai_server.hpp"
#include "run_command.hpp"
#include "temporary_folder.hpp"

namespace anamnesis::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

const std::string tokenizer = std::string(ANAMNESIS_TESTDATA) + "/tokenizer/tiny/qwen2";

CommandResult command(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), ANAMNESIS_BINARY);
    return run_command(arguments);
}

/// Adds the two numbers of a question, but only while the first is below `limit`.
language::ScriptedModel adder(int limit) {
    return language::ScriptedModel([limit](std::string_view prompt) {
        const std::size_t at = prompt.rfind("add ") + 4;
        const int a = std::stoi(std::string(prompt.substr(at, 6)));
        const int b = std::stoi(std::string(prompt.substr(prompt.find(" and ", at) + 5, 6)));
        return format("<think>{} and {}</think>The answer is \\boxed{{{}}}.",
                      a,
                      b,
                      a < limit ? a + b : a + b + 1);
    });
}

class Reason : public ::testing::Test {
protected:
    Reason() {
        std::string text;
        for (int i = 0; i < 20; ++i) {
            text +=
                format("{{\"question\": \"add {} and {}\", \"answer\": \"It is.\\n#### {}\"}}\n",
                       i,
                       2 * i,
                       3 * i);
        }
        data_ = folder_.write("data.jsonl", text).string();
    }

    CommandResult reason(const OpenAiServer& server,
                         const std::string& name,
                         const std::string& out,
                         const std::vector<std::string>& more) const {
        std::vector<std::string> words{"reason",
                                       "--task",
                                       "gsm8k",
                                       "--data",
                                       data_,
                                       "--endpoint",
                                       server.url(),
                                       "--transport",
                                       "text",
                                       "--tokenizer",
                                       tokenizer,
                                       "--model",
                                       name + "=tiny",
                                       "--max-tokens",
                                       "64",
                                       "--out",
                                       (folder_.path() / out).string()};
        words.insert(words.end(), more.begin(), more.end());
        return command(words);
    }

    TemporaryFolder folder_;
    std::string data_;
};

TEST_F(Reason, ScoresProblemsAndJoinsThemWithRecallOnOnePage) {
    for (const auto& [name, limit, memory] : std::vector<std::tuple<std::string, int, std::size_t>>{
             {"pre", 2, 1U << 30U}, {"post", 20, 1500}, {"repaired", 18, 5000}}) {
        auto thinker = adder(limit);
        const OpenAiServer mind(thinker);
        const CommandResult result =
            reason(mind, name, "reason", {"--plain", "--k", "4", "--temperature", "0.7"});
        ASSERT_EQ(result.exit_code, 0) << result.errors;
        auto keeper = needle_model(memory);
        const OpenAiServer memory_server(keeper);
        ASSERT_EQ(command({"niah",
                           "--endpoint",
                           memory_server.url(),
                           "--transport",
                           "text",
                           "--tokenizer",
                           tokenizer,
                           "--model",
                           name + "=tiny",
                           "--tasks",
                           "s1",
                           "--lengths",
                           "3k",
                           "--samples",
                           "5",
                           "--out",
                           (folder_.path() / "recall").string()})
                      .exit_code,
                  0);
    }
    const CommandResult report = command({"report",
                                          (folder_.path() / "recall").string(),
                                          (folder_.path() / "reason").string(),
                                          "--out",
                                          (folder_.path() / "both").string(),
                                          "--json"});
    ASSERT_EQ(report.exit_code, 0) << report.errors;
    const Json summary = Json::parse(report.output);
    EXPECT_THAT(find_deviations(summary.at("recall"), read_schema("niah")), IsEmpty());
    EXPECT_THAT(find_deviations(summary.at("reasoning"), read_schema("reason")), IsEmpty());
    std::map<std::string, double> averages;
    for (const Json& cell : summary.at("reasoning").at("cells").as_array("cells")) {
        averages[cell.at("checkpoint").as_string("name")] = cell.at("average").as_double("average");
        EXPECT_EQ(cell.at("samples").as_unsigned("samples"), 80U);
    }
    EXPECT_DOUBLE_EQ(averages.at("pre"), 0.1);
    EXPECT_DOUBLE_EQ(averages.at("post"), 1.0);
    EXPECT_DOUBLE_EQ(averages.at("repaired"), 0.9);
    const std::string html = io::read_text(folder_.path() / "both/report.html");
    EXPECT_THAT(html, HasSubstr("Recall against reasoning"));
    EXPECT_THAT(html, HasSubstr("reasoning, points"));
    EXPECT_THAT(html, HasSubstr("niah_single_1@3K"));
}

TEST_F(Reason, RecordsASeedForEverySampleAndGoesOnWhereItStopped) {
    auto model = adder(20);
    const OpenAiServer server(model);
    const std::vector<std::string> how{"--plain", "--k", "3", "--temperature", "1"};
    ASSERT_EQ(reason(server, "m", "r", how).exit_code, 0);
    const std::string whole = io::read_text(folder_.path() / "r/results.jsonl");
    std::map<std::string, std::string> seeds;
    for (const std::string& line : split(whole, '\n')) {
        if (!line.empty()) {
            const Json json = Json::parse(line);
            seeds[json.at("seed").dump()] = json.at("id").as_string("id");
        }
    }
    EXPECT_EQ(seeds.size(), 60U);
    const std::size_t requests = server.requests();
    folder_.write("r/results.jsonl", whole.substr(0, whole.size() / 2));
    ASSERT_EQ(reason(server, "m", "r", how).exit_code, 0);
    EXPECT_LT(server.requests(), requests + 35);
    EXPECT_EQ(split(io::read_text(folder_.path() / "r/results.jsonl"), '\n').size(), 61U);
}

TEST_F(Reason, ShowsExamplesOfTheTrainSplitToABaseModel) {
    auto model = adder(20);
    const OpenAiServer server(model);
    ASSERT_EQ(reason(server, "m", "r", {"--shots", "8", "--train", data_}).exit_code, 0);
    const std::string prompt = server.bodies().front().at("prompt").as_string("prompt");
    EXPECT_THAT(prompt, HasSubstr("Question: add "));
    EXPECT_THAT(prompt, HasSubstr("#### "));
    EXPECT_TRUE(prompt.ends_with("\nAnswer:"));
    EXPECT_EQ(server.bodies().front().at("stop").as_array("stop").size(), 1U);
}

TEST_F(Reason, RefusesSeveralSamplesAtTemperatureZero) {
    auto model = adder(20);
    const OpenAiServer server(model);
    const CommandResult result =
        reason(server, "m", "r", {"--plain", "--k", "4", "--temperature", "0"});
    EXPECT_EQ(result.exit_code, 2);
    EXPECT_THAT(result.errors, HasSubstr("4 equal answers"));
}

TEST_F(Reason, KeepsTheServersSlotsBusy) {
    auto model = adder(20);
    OpenAiServer server(model);
    server.gather(8);
    const CommandResult result = reason(
        server, "m", "r", {"--plain", "--k", "4", "--temperature", "1", "--concurrency", "8"});
    ASSERT_EQ(result.exit_code, 0) << result.errors;
    EXPECT_EQ(server.most_at_once(), 8U);
    EXPECT_THAT(result.output, HasSubstr("% of 8 slots in use"));
}

TEST_F(Reason, WritesLinesThatGradeReads) {
    auto model = adder(5);
    const OpenAiServer server(model);
    ASSERT_EQ(reason(server, "m", "r", {"--plain"}).exit_code, 0);
    const CommandResult graded = command({"grade",
                                          "--in",
                                          (folder_.path() / "r/results.jsonl").string(),
                                          "--out",
                                          (folder_.path() / "graded.jsonl").string(),
                                          "--json"});
    ASSERT_EQ(graded.exit_code, 0) << graded.errors;
    EXPECT_EQ(Json::parse(graded.output).at("correct").as_unsigned("correct"), 5U);
}

}  // namespace
}  // namespace anamnesis::testing
