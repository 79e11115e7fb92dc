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

namespace anamnesis::testing {
namespace {

/// Ids of the tiny tokenizer: 420 of its BPE, 7 special ones.
constexpr std::size_t vocabulary = 427;

std::string text_of(const std::filesystem::path& path) {
    return io::read_text(path, std::uint64_t{1} << 20U);
}

std::string bytes_of(const formats::SafetensorsFile& file, const formats::TensorInfo& tensor) {
    std::string bytes(tensor.data.size(), '\0');
    file.file().read_at(file.data_begin() + tensor.data.begin(),
                        std::as_writable_bytes(std::span(bytes)));
    return bytes;
}

struct NamedBytes {
    std::string name;
    std::string dtype;
    std::vector<std::uint64_t> shape;
    std::string bytes;
};

std::string safetensors_of(const std::vector<NamedBytes>& tensors) {
    Json header = Json::object();
    std::string data;
    for (const NamedBytes& tensor : tensors) {
        Json shape = Json::array();
        for (const std::uint64_t size : tensor.shape) {
            shape.push_back(size);
        }
        Json offsets = Json::array();
        offsets.push_back(std::uint64_t{data.size()});
        data += tensor.bytes;
        offsets.push_back(std::uint64_t{data.size()});
        header.set(tensor.name,
                   Json::Object{{"dtype", tensor.dtype},
                                {"shape", std::move(shape)},
                                {"data_offsets", std::move(offsets)}});
    }
    std::string text = header.dump();
    text.append((8 - text.size() % 8) % 8, ' ');
    std::string length(8, '\0');
    const std::uint64_t size = text.size();
    std::memcpy(length.data(), &size, sizeof size);
    return length + text + data;
}

/// The Qwen3 golden with the tiny tokenizer: its matrices of tokens grow by repeating their rows,
/// a little smaller each time.
void write_model(const TemporaryFolder& folder) {
    const std::filesystem::path testdata = ANAMNESIS_TESTDATA;
    const std::filesystem::path golden = testdata / "models/qwen3_base";
    const auto file = formats::SafetensorsFile::open(golden / "model.safetensors");
    std::vector<NamedBytes> tensors;
    for (const formats::TensorInfo& tensor : file.tensors()) {
        NamedBytes copy{.name = tensor.name,
                        .dtype = "F32",
                        .shape = {tensor.shape.begin(), tensor.shape.end()},
                        .bytes = bytes_of(file, tensor)};
        if (copy.name == "model.embed_tokens.weight" || copy.name == "lm_head.weight") {
            std::vector<float> values(copy.bytes.size() / sizeof(float));
            std::memcpy(values.data(), copy.bytes.data(), copy.bytes.size());
            const std::size_t known = values.size();
            values.resize(vocabulary * copy.shape[1]);
            for (std::size_t i = known; i < values.size(); ++i) {
                values[i] = 0.9F * values[i - known];
            }
            copy.shape[0] = vocabulary;
            copy.bytes.resize(values.size() * sizeof(float));
            std::memcpy(copy.bytes.data(), values.data(), copy.bytes.size());
        }
        tensors.push_back(std::move(copy));
    }
    folder.write("model.safetensors", safetensors_of(tensors));
    Json config = Json::parse(text_of(golden / "config.json"));
    config.set("vocab_size", std::uint64_t{vocabulary});
    folder.write("config.json", config.dump(2));
    folder.write("tokenizer.json", text_of(testdata / "tokenizer/tiny/qwen2/tokenizer.json"));
    folder.write("chat_template.jinja",
                 "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\\n' + "
                 "message['content'] + '<|im_end|>' + '\\n'}}{% endfor %}{% if "
                 "add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}");
}

class Generate : public ::testing::Test {
protected:
    Generate() { write_model(folder_); }

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
    std::vector<float> logits_of(const std::vector<std::int64_t>& ids) {
        std::string bytes(ids.size() * sizeof(std::int64_t), '\0');
        std::memcpy(bytes.data(), ids.data(), bytes.size());
        const auto path = folder_.write(
            "ids.safetensors",
            safetensors_of(
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
        const std::string data = bytes_of(file, *file.find("logits"));
        std::vector<float> values(data.size() / sizeof(float));
        std::memcpy(values.data(), data.data(), data.size());
        return values;
    }

    TemporaryFolder folder_;
};

std::vector<std::int64_t> integers_of(const Json& json) {
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
    const std::vector<std::int64_t> chosen = integers_of(answers[0].at("tokens"));
    ASSERT_EQ(chosen.size(), 12U);
    EXPECT_EQ(answers[0].at("finish_reason").as_string("reason"), "length");
    ASSERT_EQ(answers[0].at("prompt_tokens").as_integer("count"), 2);
    // Byte-level ids of A and B: 0x21 and 0x22 behind the first printable character.
    std::vector<std::int64_t> text{32, 33};
    text.insert(text.end(), chosen.begin(), chosen.end() - 1);
    const std::vector<float> logits = logits_of(text);
    const auto& logprobs = answers[0].at("logprobs").as_array("logprobs");
    for (std::size_t i = 0; i < chosen.size(); ++i) {
        const auto row = std::span(logits).subspan((i + 1) * vocabulary, vocabulary);
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
    EXPECT_EQ(integers_of(wrapped.at(0).at("tokens")), integers_of(written.at(0).at("tokens")));
    EXPECT_NE(integers_of(wrapped.at(0).at("tokens")),
              integers_of(ask({"--prompt", "Hi", "--max-tokens", "8"}).at(0).at("tokens")));
}

TEST_F(Generate, PrintsALineForEveryTokenAndItsProbability) {
    const CommandResult result = run({"--prompt", "needle", "--max-tokens", "5", "--logprobs"});
    EXPECT_EQ(result.exit_code, 0);
    const auto answers = ask({"--prompt", "needle", "--max-tokens", "5"});
    for (const std::int64_t token : integers_of(answers.at(0).at("tokens"))) {
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
