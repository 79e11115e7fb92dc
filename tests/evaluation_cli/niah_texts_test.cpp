// SPDX-License-Identifier: Apache-2.0
//
// Prompts of people's own files, and prompts that a tokenizer has no tokens for.
#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "anamnesis/base/json.hpp"
#include "anamnesis/io/file.hpp"

#include "json_schema.hpp"
#include "needle_model.hpp"
#include "openai_server.hpp"
#include "run_command.hpp"
#include "temporary_folder.hpp"

namespace anamnesis::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

class NiahTexts : public ::testing::Test {
protected:
    CommandResult ask(const std::string& out,
                      const std::string& tokenizer,
                      const std::vector<std::string>& more) const {
        std::vector<std::string> words{ANAMNESIS_BINARY,
                                       "niah",
                                       "--endpoint",
                                       server_.url(),
                                       "--transport",
                                       "text",
                                       "--tokenizer",
                                       tokenizer,
                                       "--model",
                                       "m=tiny",
                                       "--out",
                                       (folder_.path() / out).string()};
        words.insert(words.end(), more.begin(), more.end());
        return run_command(words);
    }
    std::string read(const std::string& path) const { return io::read_text(folder_.path() / path); }

    const std::string bytes_ = std::string(ANAMNESIS_TESTDATA) + "/tokenizer/tiny/qwen2";
    TemporaryFolder folder_;
    language::ScriptedModel model_ = needle_model(1U << 30U);
    OpenAiServer server_{model_};
};

TEST_F(NiahTexts, ThatDoNotSayHowLongTheyAreAreCounted) {
    const auto file = folder_.write(
        "own.jsonl",
        R"({"input": "The number for x is: 1234567. What is the number for x mentioned in the )"
        R"(provided text?", "answer_prefix": " It is", "outputs": ["1234567"]})"
        "\n");
    const CommandResult result = ask("r", bytes_, {"--prompts", file.string()});
    ASSERT_EQ(result.exit_code, 0) << result.errors;
    const Json summary = Json::parse(read("r/summary.json"));
    const Json& cell = summary.at("cells").as_array("cells").front();
    EXPECT_EQ(cell.at("length").as_unsigned("length"), 512U);
    EXPECT_EQ(cell.at("score").as_double("score"), 1.0);
}

TEST_F(NiahTexts, ThatTheTokenizerHasNoTokensForAreCounted) {
    folder_.write("words/tokenizer.json",
                  R"({"added_tokens": [{"id": 0, "content": "<unk>", "special": true}],
                      "normalizer": null, "pre_tokenizer": {"type": "WhitespaceSplit"},
                      "decoder": null,
                      "model": {"type": "WordLevel", "unk_token": "<unk>",
                                "vocab": {"<unk>": 0, "The": 1, "is": 2}}})");
    const std::vector<std::string> needles{"--tasks", "s1", "--lengths", "3k", "--samples", "2"};
    const CommandResult result = ask("r", (folder_.path() / "words").string(), needles);
    ASSERT_EQ(result.exit_code, 0) << result.errors;
    EXPECT_THAT(result.output, HasSubstr("warning: m: 2 of 2 prompts hold text"));
    const Json summary = Json::parse(read("r/summary.json"));
    EXPECT_THAT(find_deviations(summary, read_schema("niah")), IsEmpty());
    const Json& finding = summary.at("findings").as_array("findings").front();
    EXPECT_EQ(finding.at("count").as_unsigned("count"), 2U);
    EXPECT_THAT(read("r/summary.md"), HasSubstr("Warning: m: 2 of 2 prompts hold text"));
    ASSERT_EQ(ask("s", bytes_, needles).exit_code, 0);
    EXPECT_EQ(Json::parse(read("s/summary.json")).find("findings"), nullptr);
}

}  // namespace
}  // namespace anamnesis::testing
