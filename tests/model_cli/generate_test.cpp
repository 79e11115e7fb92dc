// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "anamnesis/base/json.hpp"
#include "anamnesis/formats/safetensors.hpp"
#include "anamnesis/io/file.hpp"

#include "run_command.hpp"
#include "temporary_folder.hpp"
#include "tiny_model.hpp"

namespace anamnesis::testing {
namespace {

class Generate : public ::testing::Test {
protected:
    Generate() { write_tiny_model(folder_, "qwen3_base"); }

    CommandResult run(std::vector<std::string> arguments, const CommandOptions& options = {}) {
        std::vector<std::string> all{
            ANAMNESIS_BINARY, "generate", "--model", folder_.path().string(), "--ignore-eos"};
        all.insert(all.end(), arguments.begin(), arguments.end());
        return run_command(all, options);
    }

    /// The answers of --json.
    Json::Array ask(std::vector<std::string> arguments) {
        arguments.emplace_back("--json");
        const CommandResult result = run(std::move(arguments));
        EXPECT_EQ(result.exit_code, 0) << result.errors;
        return result.exit_code == 0 ? Json::parse(result.output).at("answers").as_array("answers")
                                     : Json::Array{};
    }

    /// What the verb `logits` says of these tokens: [tokens, vocabulary].
    std::vector<float> compute_logits(const std::vector<std::int64_t>& ids) {
        std::string bytes(ids.size() * sizeof(std::int64_t), '\0');
        std::memcpy(bytes.data(), ids.data(), bytes.size());
        const auto path = folder_.write(
            "ids.safetensors",
            make_safetensors(
                {{.name = "input_ids", .dtype = "I64", .shape = {1, ids.size()}, .bytes = bytes}}));
        const std::filesystem::path out = folder_.path() / "logits.safetensors";
        const CommandResult result = run_command({ANAMNESIS_BINARY,
                                                  "logits",
                                                  "--model",
                                                  folder_.path().string(),
                                                  "--ids",
                                                  path.string(),
                                                  "--out",
                                                  out.string()});
        EXPECT_EQ(result.exit_code, 0) << result.errors;
        const auto file = formats::SafetensorsFile::open(out);
        const std::string data = read_bytes(file, *file.find("logits"));
        std::vector<float> values(data.size() / sizeof(float));
        std::memcpy(values.data(), data.data(), data.size());
        return values;
    }

    TemporaryFolder folder_;
};

std::vector<std::int64_t> read_integers(const Json& json) {
    std::vector<std::int64_t> numbers;
    for (const Json& one : json.as_array("tokens")) {
        numbers.push_back(one.as_integer("token"));
    }
    return numbers;
}

std::string text_in(const Json::Array& answers, std::size_t index = 0) {
    return answers.at(index).at("text").as_string("text");
}

TEST_F(Generate, ChoosesTheTokensThatTheLogitsOfTheWholeTextFavour) {
    const auto answers = ask({"--prompt", "AB", "--max-tokens", "12", "--logprobs"});
    ASSERT_EQ(answers.size(), 1U);
    const std::vector<std::int64_t> chosen = read_integers(answers[0].at("tokens"));
    ASSERT_EQ(chosen.size(), 12U);
    EXPECT_EQ(answers[0].at("finish_reason").as_string("reason"), "length");
    ASSERT_EQ(answers[0].at("prompt_tokens").as_integer("count"), 2);
    // Byte-level ids of A and B: 32 and 33 after '!', the first printable character.
    std::vector<std::int64_t> text{32, 33};
    text.insert(text.end(), chosen.begin(), chosen.end() - 1);
    const std::vector<float> logits = compute_logits(text);
    const auto& logprobs = answers[0].at("logprobs").as_array("logprobs");
    for (std::size_t i = 0; i < chosen.size(); ++i) {
        const auto row = std::span(logits).subspan((i + 1) * tiny_vocabulary, tiny_vocabulary);
        const auto best = std::ranges::max_element(row) - row.begin();
        EXPECT_EQ(chosen[i], best);
        double sum = 0.0;
        for (const float logit : row) {
            sum += std::exp(static_cast<double>(logit));
        }
        EXPECT_NEAR(logprobs[i].as_double("logprob"),
                    static_cast<double>(row[static_cast<std::size_t>(best)]) - std::log(sum),
                    1e-4);
    }
}

TEST_F(Generate, StreamsTheTextThatJsonHolds) {
    const std::string text = text_in(ask({"--prompt", "needle", "--max-tokens", "16"}));
    const CommandResult streamed = run({"--prompt", "needle", "--max-tokens", "16"});
    EXPECT_EQ(streamed.exit_code, 0);
    EXPECT_EQ(streamed.output, text + "\n");
    EXPECT_NE(streamed.errors.find("16 new tokens"), std::string::npos) << streamed.errors;
}

TEST_F(Generate, ReadsPromptsFromFilesAndRunsSeveralTogether) {
    const auto path = folder_.write("prompt.txt", "in a haystack");
    const auto both =
        ask({"--prompt", "needle", "--prompt-file", path.string(), "--max-tokens", "8"});
    ASSERT_EQ(both.size(), 2U);
    EXPECT_EQ(text_in(both, 0), text_in(ask({"--prompt", "needle", "--max-tokens", "8"})));
    EXPECT_EQ(text_in(both, 1), text_in(ask({"--prompt", "in a haystack", "--max-tokens", "8"})));
}

TEST_F(Generate, WrapsTheTurnsOfAChat) {
    const auto wrapped = ask({"--chat", "--system", "S", "--prompt", "Hi", "--max-tokens", "8"});
    const auto written = ask({"--prompt",
                              "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n"
                              "<|im_start|>assistant\n",
                              "--max-tokens",
                              "8"});
    EXPECT_EQ(read_integers(wrapped.at(0).at("tokens")), read_integers(written.at(0).at("tokens")));
    EXPECT_NE(read_integers(wrapped.at(0).at("tokens")),
              read_integers(ask({"--prompt", "Hi", "--max-tokens", "8"}).at(0).at("tokens")));
}

TEST_F(Generate, PrintsALineForEveryTokenAndItsProbability) {
    const CommandResult result = run({"--prompt", "needle", "--max-tokens", "5", "--logprobs"});
    EXPECT_EQ(result.exit_code, 0);
    const auto answers = ask({"--prompt", "needle", "--max-tokens", "5"});
    for (const std::int64_t token : read_integers(answers.at(0).at("tokens"))) {
        EXPECT_NE(result.output.find(std::to_string(token) + " "), std::string::npos);
    }
}

TEST_F(Generate, EndsBeforeAStopString) {
    const std::string text = text_in(ask({"--prompt", "needle", "--max-tokens", "24"}));
    std::size_t at = text.size() / 2;
    while (at < text.size() && static_cast<unsigned char>(text[at]) >= 0x80) {
        ++at;
    }
    ASSERT_LT(at, text.size()) << "no plain character in the second half";
    const std::string stop(1, text[at]);
    const auto stopped = ask({"--prompt", "needle", "--max-tokens", "24", "--stop", stop});
    EXPECT_EQ(stopped.at(0).at("finish_reason").as_string("reason"), "stop_string");
    EXPECT_EQ(text_in(stopped), text.substr(0, text.find(stop)));
}

TEST_F(Generate, SamplesTheSameAnswerFromTheSameSeed) {
    const auto sampled = [&](const std::string& seed) {
        return text_in(ask({"--prompt",
                            "needle",
                            "--max-tokens",
                            "24",
                            "--temperature",
                            "1.5",
                            "--top-k",
                            "50",
                            "--seed",
                            seed}));
    };
    const std::string first = sampled("1");
    EXPECT_EQ(sampled("1"), first);
    EXPECT_NE(sampled("2"), first);
}

TEST_F(Generate, RefusesOptionsThatSayNothing) {
    for (const std::vector<std::string>& option :
         {std::vector<std::string>{"--top-p", "0.3"}, {"--top-k", "50"}, {"--seed", "5"}}) {
        const CommandResult result = run({"--prompt", "needle", option[0], option[1]});
        EXPECT_EQ(result.exit_code, 2) << option[0];
        EXPECT_NE(result.errors.find("whatever " + option[0] + " says"), std::string::npos)
            << result.errors;
    }
    const CommandResult plain = run({"--prompt", "needle", "--chat-var", "a=1"});
    EXPECT_EQ(plain.exit_code, 2);
    EXPECT_NE(plain.errors.find("--chat-var requires --chat"), std::string::npos) << plain.errors;
    const CommandResult python =
        run({"--prompt", "needle", "--chat", "--chat-var", "enable_thinking=False"});
    EXPECT_EQ(python.exit_code, 2);
    EXPECT_NE(python.errors.find("write enable_thinking=false"), std::string::npos)
        << python.errors;
}

TEST_F(Generate, TellsEveryTurnOfAConversation) {
    const auto converse = [&](const std::string& options) {
        return run_command({"/bin/sh",
                            "-c",
                            "printf 'Hi\nAnd now?\n' | '" + std::string(ANAMNESIS_BINARY) +
                                "' generate --chat --ignore-eos --max-tokens 4 --model '" +
                                folder_.path().string() + "' " + options});
    };
    const CommandResult told = converse("--json");
    ASSERT_EQ(told.exit_code, 0) << told.errors;
    const Json json = Json::parse(told.output);
    const auto& answers = json.at("answers").as_array("answers");
    ASSERT_EQ(answers.size(), 2U);
    EXPECT_EQ(text_in(answers, 0), text_in(ask({"--chat", "--prompt", "Hi", "--max-tokens", "4"})));
    EXPECT_GT(answers[1].at("prompt_tokens").as_unsigned("tokens"),
              answers[0].at("prompt_tokens").as_unsigned("tokens"));
    const CommandResult tokens = converse("--logprobs");
    ASSERT_EQ(tokens.exit_code, 0) << tokens.errors;
    for (const std::int64_t token : read_integers(answers[1].at("tokens"))) {
        EXPECT_NE(tokens.output.find(std::to_string(token) + " "), std::string::npos);
    }
}

TEST_F(Generate, EndsCleanlyWhenItIsInterrupted) {
    const CommandResult result =
        run({"--prompt", "needle", "--max-tokens", "4000000", "--context-length", "5000000"},
            {.signal_at_output = SIGINT});
    EXPECT_FALSE(result.was_killed);
    EXPECT_EQ(result.exit_code, 130) << result.errors;
    EXPECT_EQ(result.output.back(), '\n');
    EXPECT_NE(result.errors.find("new tokens"), std::string::npos) << result.errors;
}

TEST_F(Generate, SaysWhenTheContextIsTooShort) {
    const CommandResult result =
        run({"--prompt", "a needle in a haystack", "--context-length", "3"});
    EXPECT_EQ(result.exit_code, 8);
    EXPECT_NE(result.errors.find("--context-length"), std::string::npos) << result.errors;
}

}  // namespace
}  // namespace anamnesis::testing
