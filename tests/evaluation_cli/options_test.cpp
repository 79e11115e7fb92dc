// SPDX-License-Identifier: Apache-2.0
//
// Options of niah and reason that would say nothing: each is refused by its name, before anything
// is asked. No server runs.
#include <filesystem>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "run_command.hpp"
#include "temporary_folder.hpp"

namespace anamnesis::testing {
namespace {

using ::testing::HasSubstr;
using Words = std::vector<std::string>;

class AskingOptions : public ::testing::TestWithParam<const char*> {
protected:
    std::string out() const { return (folder_.path() / "out").string(); }

    /// What a run of the verb needs, and `more`.
    CommandResult ask(const Words& more) const {
        Words words{ANAMNESIS_BINARY, GetParam(), "--model", "m", "--out", out()};
        const Words own = GetParam() == std::string("niah")
                              ? Words{"--tasks", "s1", "--lengths", "2k"}
                              : Words{"--task", "gsm8k", "--data", data_.string()};
        words.insert(words.end(), own.begin(), own.end());
        words.insert(words.end(), more.begin(), more.end());
        return run_command(words);
    }

    CommandResult ask_a_server(const Words& more) const {
        Words words{"--endpoint", "http://127.0.0.1:9", "--tokenizer", tokenizer};
        words.insert(words.end(), more.begin(), more.end());
        return ask(words);
    }

    void expect_refusal(const CommandResult& result, const std::string& words) const {
        EXPECT_EQ(result.exit_code, 2) << result.output << result.errors;
        EXPECT_THAT(result.errors, HasSubstr(words));
        EXPECT_FALSE(std::filesystem::exists(out()));
    }

    const std::string tokenizer = std::string(ANAMNESIS_TESTDATA) + "/tokenizer/tiny/qwen2";
    TemporaryFolder folder_;
    std::filesystem::path data_ =
        folder_.write("data.jsonl", R"({"question": "What is 1 + 1?", "answer": "#### 2"})");
};

INSTANTIATE_TEST_SUITE_P(Of,
                         AskingOptions,
                         ::testing::Values("niah", "reason"),
                         [](const auto& test) { return std::string(test.param); });

TEST_P(AskingOptions, OfServersAreRefusedWithoutOne) {
    for (const Words& option : {Words{"--api-key-env", "KEY"},
                                Words{"--transport", "text"},
                                Words{"--concurrency", "2"},
                                Words{"--timeout", "5"},
                                Words{"--retries", "1"},
                                Words{"--insecure"},
                                Words{"--plain-openai"}}) {
        expect_refusal(ask(option), option.front() + " requires --endpoint");
    }
}

TEST_P(AskingOptions, OfModelsThatRunHereAreRefusedForAServer) {
    for (const Words& option : {Words{"--dtype", "f32"},
                                Words{"--cache-dtype", "f32"},
                                Words{"--device", "cpu"},
                                Words{"--attn-logits-scaling", "none"},
                                Words{"--context-length", "4096"},
                                Words{"--chunk", "8"},
                                Words{"--no-sharing"},
                                Words{"--family", "llama"},
                                Words{"--routing", "map.json"},
                                Words{"--config", "config.json"},
                                Words{"--adapter", "adapter"}}) {
        expect_refusal(ask_a_server(option), option.front());
    }
}

TEST_P(AskingOptions, AnAnswerHasAtLeastOneToken) {
    expect_refusal(ask({"--max-tokens", "0"}), "--max-tokens: the value is 0");
    expect_refusal(ask_a_server({"--max-tokens", "0"}), "--max-tokens: the value is 0");
}

TEST_P(AskingOptions, VariablesOfATemplateNeedOne) {
    const Words plain = GetParam() == std::string("niah") ? Words{} : Words{"--plain"};
    for (const Words& option : {Words{"--thinking", "1"}, Words{"--chat-var", "a=1"}}) {
        Words words = plain;
        words.insert(words.end(), option.begin(), option.end());
        expect_refusal(ask_a_server(words), "belong to --chat");
    }
}

class ReasonOptions : public AskingOptions {};

INSTANTIATE_TEST_SUITE_P(Of, ReasonOptions, ::testing::Values("reason"));

TEST_P(ReasonOptions, ThatCountNothingOrLackTheirOtherHalfAreRefused) {
    expect_refusal(ask({"--limit", "0"}), "--limit: the value is 0");
    expect_refusal(ask_a_server({"--shots", "2"}), "--shots takes its examples from --train");
    expect_refusal(ask_a_server({"--plain", "--train", data_.string()}), "--train gives");
}

TEST_P(ReasonOptions, ThatExcludeEachOtherOrSampleNothingAreRefused) {
    expect_refusal(ask_a_server({"--plain", "--chat"}), "--chat excludes --plain");
    for (const Words& option : {Words{"--top-p", "0.5"}, Words{"--top-k", "3"}}) {
        Words words{"--plain"};
        words.insert(words.end(), option.begin(), option.end());
        expect_refusal(ask_a_server(words), "whatever " + option.front() + " says");
    }
}

TEST_P(ReasonOptions, ForModelsWithoutAChatTemplateAreNamed) {
    const CommandResult result = ask_a_server({});
    EXPECT_EQ(result.exit_code, 3) << result.output;
    EXPECT_THAT(result.errors, HasSubstr("holds no chat template"));
    EXPECT_THAT(result.errors, HasSubstr("give --plain"));
    EXPECT_THAT(result.errors, HasSubstr("--shots and --train"));
    EXPECT_FALSE(std::filesystem::exists(out()));
}

TEST_P(AskingOptions, WithEmptyValuesAreRefused) {
    for (const Words& option : {Words{"--seed", ""},
                                Words{"--seed="},
                                Words{"--concurrency", ""},
                                Words{"--max-tokens", ""},
                                Words{"--shard", ""}}) {
        expect_refusal(ask_a_server(option), "the value is empty");
    }
}

TEST(PromptOptions, WithoutALengthOrAnEmptySeedWriteNoFile) {
    const TemporaryFolder folder;
    const std::string out = (folder.path() / "prompts.jsonl").string();
    for (const Words& option : {Words{"--lengths", "8k..1k"},
                                Words{"--lengths", "1k,,2k"},
                                Words{"--lengths", "1k", "--seed", ""}}) {
        Words words{ANAMNESIS_BINARY,
                    "prompts",
                    "--tokenizer",
                    std::string(ANAMNESIS_TESTDATA) + "/tokenizer/tiny/qwen2",
                    "--tasks",
                    "s1",
                    "--samples",
                    "1",
                    "--out",
                    out};
        words.insert(words.end(), option.begin(), option.end());
        const CommandResult result = run_command(words);
        EXPECT_EQ(result.exit_code, 2) << result.output << result.errors;
        EXPECT_FALSE(std::filesystem::exists(out));
    }
}

}  // namespace
}  // namespace anamnesis::testing
