// SPDX-License-Identifier: Apache-2.0
//
// The real binary against a server on the loopback interface: prompts, runs, kills, shards,
// reports.
#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "anamnesis/base/json.hpp"
#include "anamnesis/base/random.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/io/file.hpp"

#include "json_schema.hpp"
#include "needle_model.hpp"
#include "openai_server.hpp"
#include "run_command.hpp"
#include "temporary_folder.hpp"

namespace anamnesis::testing {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

const std::string tokenizer = std::string(ANAMNESIS_TESTDATA) + "/tokenizer/tiny/qwen2";
constexpr std::size_t everything = 1U << 30U;

CommandResult command(std::vector<std::string> arguments, const CommandOptions& options = {}) {
    arguments.insert(arguments.begin(), ANAMNESIS_BINARY);
    return run_command(arguments, options);
}

class Niah : public ::testing::Test {
protected:
    std::vector<std::string> arguments(const OpenAiServer& server,
                                       const std::string& name,
                                       const std::string& out,
                                       const std::vector<std::string>& more = {}) const {
        std::vector<std::string> words{"niah",
                                       "--endpoint",
                                       server.url(),
                                       "--transport",
                                       "text",
                                       "--tokenizer",
                                       tokenizer,
                                       "--model",
                                       name + "=tiny",
                                       "--out",
                                       (folder_.path() / out).string()};
        words.insert(words.end(), more.begin(), more.end());
        if (std::ranges::find(more, "--prompts") == more.end()) {
            words.insert(words.end(),
                         {"--samples", "6", "--tasks", "s1,s2,s3", "--lengths", "3k,6k"});
        }
        return words;
    }

    /// The lines of a folder's results by checkpoint and id; fails on a duplicate.
    std::map<std::string, Json> results(const std::string& out) const {
        std::map<std::string, Json> lines;
        for (const auto& entry : fs::directory_iterator(folder_.path() / out)) {
            const std::string name = entry.path().filename().string();
            if (!name.starts_with("results")) {
                continue;
            }
            for (const std::string& line : split(io::read_text(entry.path()), '\n')) {
                if (line.empty()) {
                    continue;
                }
                Json json = Json::parse(line);
                const std::string key = json.at("checkpoint").as_string("checkpoint") + "/" +
                                        json.at("id").as_string("id");
                EXPECT_TRUE(lines.emplace(key, std::move(json)).second) << "duplicate " << key;
            }
        }
        return lines;
    }

    std::string read(const std::string& path) const { return io::read_text(folder_.path() / path); }

    TemporaryFolder folder_;
};

TEST_F(Niah, TellsTheStoryOfThreeCheckpoints) {
    for (const auto& [name, memory] : std::vector<std::pair<std::string, std::size_t>>{
             {"pre", everything}, {"post", 2000}, {"repaired", 6000}}) {
        auto model = needle_model(memory);
        const OpenAiServer server(model);
        const CommandResult result = command(arguments(server, name, "r"));
        ASSERT_EQ(result.exit_code, 0) << result.errors;
    }
    const CommandResult report = command({"report", (folder_.path() / "r").string(), "--json"});
    ASSERT_EQ(report.exit_code, 0) << report.errors;
    const Json summary = Json::parse(report.output);
    EXPECT_THAT(find_deviations(summary, read_schema("niah")), IsEmpty());
    std::map<std::string, double> scores;
    for (const Json& cell : summary.at("cells").as_array("cells")) {
        EXPECT_EQ(cell.at("count").as_unsigned("count"), 6U);
        scores[cell.at("checkpoint").as_string("checkpoint")] +=
            cell.at("score").as_double("score") / 6.0;
    }
    EXPECT_DOUBLE_EQ(scores.at("pre"), 1.0);
    EXPECT_LT(scores.at("post"), scores.at("repaired"));
    EXPECT_LT(scores.at("repaired"), 1.0);
    // pre to post, post to repaired, pre to repaired, each for three tasks at two lengths.
    EXPECT_EQ(summary.at("comparisons").as_array("comparisons").size(), 18U);
    EXPECT_EQ(summary.at("recoveries").as_array("recoveries").size(), 6U);
    EXPECT_EQ(read("r/summary.json"), report.output);
    EXPECT_THAT(read("r/report.html"),
                AllOf(HasSubstr("Recall by length"),
                      HasSubstr("post minus pre"),
                      HasSubstr("samples flipped"),
                      HasSubstr("RULER-style")));
    EXPECT_THAT(read("r/summary.md"), HasSubstr("| niah\\_single\\_2 | pre | 100.0 "));
    EXPECT_THAT(read("r/summary.csv"), HasSubstr("\"pre\",\"niah_single_3\",6144,6,1,"));
    EXPECT_LT(read("r/report.html").size(), 2'000'000U);
}

TEST_F(Niah, LosesAndRepeatsNothingWhenItIsKilled) {
    // NOLINTNEXTLINE(concurrency-mt-unsafe)
    const char* asked = std::getenv("ANAMNESIS_KILLS");
    const int kills = asked == nullptr ? 30 : std::stoi(asked);
    auto model = needle_model(3000);
    OpenAiServer server(model);
    const auto begin = std::chrono::steady_clock::now();
    ASSERT_EQ(command(arguments(server, "pre", "whole")).exit_code, 0);
    // On a busy machine a run takes longer, and one that is always killed would never end.
    const auto whole = std::chrono::duration_cast<std::chrono::microseconds>(
        std::chrono::steady_clock::now() - begin);
    const std::uint64_t latest =
        std::max<std::uint64_t>(120'000, 2 * static_cast<std::uint64_t>(whole.count()));
    const auto expected = results("whole");
    ASSERT_EQ(expected.size(), 36U);
    server.delay(std::chrono::milliseconds(4));
    Random random(11);
    int killed = 0;
    for (int run = 0; killed < kills; ++run) {
        const std::string out = format("run-{}", run);
        bool is_over = false;
        while (!is_over) {
            const CommandResult result = command(
                arguments(server, "pre", out),
                {.kill_after =
                     std::chrono::microseconds(1000 + static_cast<long>(random.below(latest)))});
            is_over = !result.was_killed;
            killed += result.was_killed ? 1 : 0;
            if (is_over) {
                ASSERT_EQ(result.exit_code, 0) << result.errors;
            }
        }
        const auto got = results(out);
        ASSERT_EQ(got.size(), expected.size());
        for (const auto& [key, line] : expected) {
            for (const char* field : {"text", "score", "prompt_sha256"}) {
                EXPECT_EQ(got.at(key).at(field).dump(), line.at(field).dump()) << key;
            }
        }
    }
    EXPECT_GE(killed, kills);
}

TEST_F(Niah, JoinsShardsToTheWhole) {
    auto model = needle_model(3000);
    const OpenAiServer server(model);
    ASSERT_EQ(command(arguments(server, "pre", "whole")).exit_code, 0);
    for (const char* shard : {"1/3", "3/3"}) {
        ASSERT_EQ(command(arguments(server, "pre", "parts", {"--shard", shard})).exit_code, 0);
    }
    // A launcher's rank does as well as the option.
    ASSERT_EQ(
        command(arguments(server, "pre", "parts"),
                {.environment = {{"OMPI_COMM_WORLD_RANK", "1"}, {"OMPI_COMM_WORLD_SIZE", "3"}}})
            .exit_code,
        0);
    const auto whole = results("whole");
    const auto parts = results("parts");
    ASSERT_EQ(parts.size(), whole.size());
    for (const auto& [key, line] : whole) {
        EXPECT_EQ(parts.at(key).at("score").dump(), line.at("score").dump());
    }
    ASSERT_EQ(command({"report", (folder_.path() / "parts").string()}).exit_code, 0);
    ASSERT_EQ(command({"report", (folder_.path() / "whole").string()}).exit_code, 0);
    EXPECT_EQ(read("parts/summary.csv"), read("whole/summary.csv"));
}

TEST_F(Niah, GoesOnWithAnotherNumberOfShards) {
    auto model = needle_model(3000);
    const OpenAiServer server(model);
    const CommandResult part = command(arguments(server, "pre", "r", {"--shard", "2/2", "--json"}));
    ASSERT_EQ(part.exit_code, 0) << part.errors;
    const Json told = Json::parse(part.output);
    EXPECT_THAT(find_deviations(told, read_schema("niah --shard")), IsEmpty());
    const Json& of_pre = told.at("checkpoints").at("pre");
    EXPECT_EQ(of_pre.at("answers").as_unsigned("answers"), 18U);
    EXPECT_EQ(of_pre.at("new").as_unsigned("new"), 18U);
    ASSERT_EQ(command(arguments(server, "pre", "r", {"--shard", "1/4"})).exit_code, 0);
    ASSERT_EQ(command(arguments(server, "pre", "r")).exit_code, 0);
    EXPECT_EQ(results("r").size(), 36U);  // fails on a duplicate
    const std::size_t requests = server.requests();
    const CommandResult done = command(arguments(server, "pre", "r", {"--shard", "3/5", "--json"}));
    ASSERT_EQ(done.exit_code, 0) << done.errors;
    EXPECT_EQ(server.requests(), requests) << "all is answered";
    EXPECT_EQ(Json::parse(done.output).at("checkpoints").at("pre").at("new").as_unsigned("new"),
              0U);
    EXPECT_EQ(command({"report", (folder_.path() / "r").string()}).exit_code, 0);
}

TEST_F(Niah, ReadsPromptsThatWereWrittenBefore) {
    const std::string file = (folder_.path() / "prompts.jsonl").string();
    const CommandResult written = command({"prompts",
                                           "--task",
                                           "niah_single_1",
                                           "--length",
                                           "3k",
                                           "--samples",
                                           "5",
                                           "--tokenizer",
                                           tokenizer,
                                           "--out",
                                           file,
                                           "--json"});
    ASSERT_EQ(written.exit_code, 0) << written.errors;
    EXPECT_EQ(Json::parse(written.output).at("bytes").as_unsigned("bytes"), fs::file_size(file));
    auto model = needle_model(everything);
    const OpenAiServer server(model);
    const CommandResult result = command(arguments(server, "pre", "r", {"--prompts", file}));
    ASSERT_EQ(result.exit_code, 0) << result.errors;
    const auto lines = results("r");
    EXPECT_EQ(lines.size(), 5U);
    for (const auto& [key, line] : lines) {
        EXPECT_EQ(line.at("score").as_double("score"), 1.0) << key;
        EXPECT_EQ(line.at("length").as_unsigned("length"), 3072U) << key;
    }
    const Json summary = Json::parse(read("r/summary.json"));
    EXPECT_EQ(summary.at("cells").as_array("cells").size(), 1U);
    EXPECT_EQ(summary.at("settings").find("essays"), nullptr);
    EXPECT_EQ(summary.at("settings").find("samples"), nullptr);
    EXPECT_THAT(read("r/summary.md"), HasSubstr("Prompts of a file: their haystack is not known"));
    for (const char* option : {"--samples", "--seed", "--depths"}) {
        const CommandResult refused =
            command(arguments(server, "pre", "x", {"--prompts", file, option, "3"}));
        EXPECT_EQ(refused.exit_code, 2) << refused.output;
        EXPECT_THAT(refused.errors, HasSubstr(std::string("leave out ") + option));
        EXPECT_FALSE(fs::exists(folder_.path() / "x"));
    }
}

TEST_F(Niah, SweepsDepthsEvenly) {
    auto model = needle_model(4000);
    const OpenAiServer server(model);
    const CommandResult result = command(arguments(server, "pre", "r", {"--depths", "5"}));
    ASSERT_EQ(result.exit_code, 0) << result.errors;
    std::map<std::uint64_t, int> depths;
    for (const auto& [key, line] : results("r")) {
        ++depths[line.at("depth").as_unsigned("depth")];
    }
    EXPECT_EQ(depths,
              (std::map<std::uint64_t, int>{{0, 36}, {25, 36}, {50, 36}, {75, 36}, {100, 36}}));
}

TEST_F(Niah, ScoresNoErrorAndAsksAgainLater) {
    auto model = needle_model(everything);
    {
        OpenAiServer broken(
            model, [](std::size_t request) -> std::optional<std::pair<int, std::string>> {
                // The trial question is the first.
                return request % 5 == 1
                           ? std::optional(std::pair(400, std::string(R"({"message":"no"})")))
                           : std::nullopt;
            });
        const CommandResult result = command(arguments(broken, "pre", "r"));
        EXPECT_EQ(result.exit_code, 7);
        EXPECT_THAT(result.errors, HasSubstr("questions have no answer"));
        EXPECT_LT(results("r").size(), 36U);
    }
    const OpenAiServer server(model);
    ASSERT_EQ(command(arguments(server, "pre", "r")).exit_code, 0);
    const auto lines = results("r");
    EXPECT_EQ(lines.size(), 36U);
    for (const auto& [key, line] : lines) {
        EXPECT_EQ(line.at("score").as_double("score"), 1.0) << key;
    }
}

TEST_F(Niah, RefusesWhatWouldScoreZeroForTheWrongReason) {
    language::ScriptedModel small([](std::string_view) { return std::string(); }, 2000);
    const OpenAiServer server(small);
    const CommandResult context = command(arguments(server, "pre", "a"));
    EXPECT_EQ(context.exit_code, 2);
    EXPECT_THAT(context.errors, HasSubstr("the model 2000"));
    const CommandResult budget = command(arguments(server, "pre", "b", {"--max-tokens", "2"}));
    EXPECT_EQ(budget.exit_code, 2);
    EXPECT_THAT(budget.errors, HasSubstr("--max-tokens allows 2"));
}

TEST_F(Niah, FindsAnEngineThatAnswersDifferentlyEachTime) {
    auto steady = needle_model(everything);
    const OpenAiServer server(
        steady, [](std::size_t request) -> std::optional<std::pair<int, std::string>> {
            return std::pair(
                200,
                format(R"({{"choices": [{{"text": " answer {}", "finish_reason": "stop"}}]}})",
                       request));
        });
    const CommandResult result = command(arguments(server, "pre", "r", {"--check-engine"}));
    EXPECT_EQ(result.exit_code, 6);
    EXPECT_THAT(result.output, HasSubstr("FAIL the same prompt twice"));
    EXPECT_FALSE(fs::exists(folder_.path() / "r")) << "a run without an answer leaves nothing";

    const OpenAiServer sound(steady);
    const CommandResult passed = command(arguments(sound, "pre", "s", {"--check-engine"}));
    EXPECT_EQ(passed.exit_code, 0) << passed.errors;
    EXPECT_THAT(passed.output, HasSubstr("ok   the same prompt twice"));
}

TEST_F(Niah, RefusesAnotherSeedInTheSameFolder) {
    auto model = needle_model(everything);
    const OpenAiServer server(model);
    ASSERT_EQ(command(arguments(server, "pre", "r")).exit_code, 0);
    const CommandResult result = command(arguments(server, "post", "r", {"--seed", "7"}));
    EXPECT_EQ(result.exit_code, 6);
    EXPECT_THAT(result.errors, HasSubstr("seed"));
}

TEST_F(Niah, RefusesPromptsInOtherWordsInTheSameFolder) {
    auto model = needle_model(everything);
    const OpenAiServer server(model);
    ASSERT_EQ(command(arguments(server, "pre", "r")).exit_code, 0);
    for (const char* option : {"--remove-newline-tab", "--sane-wording"}) {
        const CommandResult result = command(arguments(server, "post", "r", {option}));
        EXPECT_EQ(result.exit_code, 6) << option;
        EXPECT_THAT(result.errors, HasSubstr("other settings"));
    }
}

TEST_F(Niah, RefusesToGoOnWithoutLogProbabilities) {
    auto model = needle_model(everything);
    const OpenAiServer server(model);
    ASSERT_EQ(command(arguments(server, "pre", "r")).exit_code, 0);
    const CommandResult result = command(arguments(server, "post", "r", {"--no-logprobs"}));
    EXPECT_EQ(result.exit_code, 6);
    EXPECT_THAT(result.errors, HasSubstr("logprobs was not set, now false"));
    ASSERT_EQ(command(arguments(server, "pre", "s", {"--no-logprobs"})).exit_code, 0);
    EXPECT_EQ(command(arguments(server, "pre", "s")).exit_code, 6);
}

TEST_F(Niah, NamesTasksThatItDoesNotKnow) {
    const CommandResult result = command({"prompts",
                                          "--task",
                                          "niah_singel_2",
                                          "--length",
                                          "4k",
                                          "--tokenizer",
                                          tokenizer,
                                          "--out",
                                          (folder_.path() / "p").string()});
    EXPECT_EQ(result.exit_code, 2);
    EXPECT_THAT(result.errors, HasSubstr("did you mean niah_single_2?"));
    EXPECT_FALSE(fs::exists(folder_.path() / "p"));
}

}  // namespace
}  // namespace anamnesis::testing
