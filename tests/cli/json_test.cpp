// SPDX-License-Identifier: Apache-2.0
//
// docs/json.md describes what the verbs on files print.
#include "anamnesis/base/json.hpp"

#include <filesystem>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "json_schema.hpp"
#include "run_command.hpp"
#include "temporary_folder.hpp"

namespace anamnesis::testing {
namespace {

namespace fs = std::filesystem;
using ::testing::IsEmpty;
using ::testing::Not;

class JsonOutput : public ::testing::Test {
protected:
    void SetUp() override {
        fs::current_path(folder_.path());
        ASSERT_EQ(run_command({ANAMNESIS_BINARY, "example", "pair"}).exit_code, 0);
    }
    void TearDown() override { fs::current_path("/"); }

    /// Runs a verb with --json and holds its output against the schema.
    static Json expect_described(const std::string& schema, std::vector<std::string> words) {
        words.insert(words.begin(), ANAMNESIS_BINARY);
        words.emplace_back("--json");
        const CommandResult result = run_command(words);
        EXPECT_EQ(result.exit_code, 0) << result.errors;
        Json output = Json::parse(result.output);
        EXPECT_THAT(find_deviations(output, read_schema(schema)), IsEmpty()) << schema;
        return output;
    }

    TemporaryFolder folder_;
};

TEST_F(JsonOutput, OfVerbsThatLookAtCheckpoints) {
    expect_described("example", {"example", "another"});
    expect_described("inspect", {"inspect", "pair/post"});
    const Json listed = expect_described("inspect", {"inspect", "pair/post", "--tensors"});
    EXPECT_NE(listed.find("all_tensors"), nullptr);
    expect_described("drift", {"drift", "--pre", "pair/pre", "--post", "pair/post"});
    expect_described("doctor", {"doctor", "pair/post"});
    expect_described("doctor", {"doctor", "pair/pre", "pair/post"});
    // Of a family with a gauge.
    const std::string llama = std::string(ANAMNESIS_TESTDATA) + "/surgery/llama/";
    const Json aligned =
        expect_described("drift", {"drift", "--pre", llama + "pre", "--post", llama + "post"});
    EXPECT_NE(aligned.at("heads").as_array("heads").front().find("angles"), nullptr);
}

TEST_F(JsonOutput, OfLoraAdapters) {
    const std::string root = std::string(ANAMNESIS_TESTDATA) + "/lora/rslora/";
    expect_described("inspect adapter", {"inspect", root + "adapter"});
    expect_described("inspect adapter", {"inspect", root + "adapter", "--base", root + "base"});
    const std::vector<std::string> repair{
        "restore", "--pre", root + "base", "--post", root + "adapter"};
    const std::vector<std::string> merge{
        "restore", "--pre", root + "base", "--adapter", root + "adapter"};
    const auto with = [](std::vector<std::string> words, const std::vector<std::string>& more) {
        words.insert(words.end(), more.begin(), more.end());
        return words;
    };
    expect_described("restore --dry-run adapter", with(repair, {"--dry-run"}));
    expect_described("restore --dry-run", with(merge, {"--dry-run"}));
    expect_described("restore", with(repair, {"--out", "adapter"}));
    expect_described("restore", with(merge, {"--out", "merged", "--model-card"}));
    expect_described("verify",
                     {"verify",
                      "--pre",
                      root + "base",
                      "--adapter",
                      root + "adapter",
                      "--repaired",
                      "merged",
                      "--weights-only"});
}

TEST_F(JsonOutput, OfARepairFromPlanToUndo) {
    const std::vector<std::string> pair{"restore", "--pre", "pair/pre", "--post", "pair/post"};
    const auto restore = [&](const std::string& schema, const std::vector<std::string>& options) {
        std::vector<std::string> words = pair;
        words.insert(words.end(), options.begin(), options.end());
        return expect_described(schema, words);
    };
    restore("restore --dry-run", {"--dry-run"});
    restore("restore --dry-run", {"--dry-run", "--method", "pro", "--lambda-rel", "0.1,1"});
    restore("restore --dry-run", {"--dry-run", "--method", "lerp", "--layers", "2"});
    restore("restore --dry-run", {"--dry-run", "--groups", "mlp"});
    restore("restore", {"--out", "out"});
    restore("restore --shard", {"--out", "divided", "--shard", "2/2"});
    restore("restore", {"--patch", "patch.safetensors"});
    expect_described("verify",
                     {"verify", "--pre", "pair/pre", "--post", "pair/post", "--repaired", "out"});
    expect_described("restore", {"apply", "patch.safetensors", "--to", "pair/post"});
    expect_described("undo", {"undo", "pair/post"});
}

TEST_F(JsonOutput, OfVerbsThatNeedNoModel) {
    expect_described("prompts",
                     {"prompts",
                      "--tokenizer",
                      std::string(ANAMNESIS_TESTDATA) + "/tokenizer/tiny/qwen2",
                      "--tasks",
                      "s1",
                      "--lengths",
                      "2k",
                      "--samples",
                      "2",
                      "--out",
                      "prompts.jsonl"});
    folder_.write("answers.jsonl",
                  R"({"id": "a", "task": "math500", "gold": "1", "response": "\\boxed{1}"})"
                  "\n");
    expect_described("grade", {"grade", "--in", "answers.jsonl", "--out", "graded.jsonl"});
}

TEST_F(JsonOutput, EveryVerbIsDescribed) {
    for (const char* verb : {"inspect",
                             "doctor",
                             "drift",
                             "restore",
                             "verify",
                             "undo",
                             "example",
                             "prompts",
                             "grade",
                             "niah",
                             "reason",
                             "generate",
                             "train",
                             "gradients",
                             "attention",
                             "logits",
                             "probe",
                             "demo",
                             "reproduce"}) {
        EXPECT_NO_THROW(static_cast<void>(read_schema(verb))) << verb;
    }
}

TEST(JsonSchema, FindsWhatDiffers) {
    const Json schema = Json::parse(R"({"a": "integer", "b?": ["string"], "c": {"*": "boolean"}})");
    const auto deviations = [&](const std::string& text) {
        return find_deviations(Json::parse(text), schema);
    };
    EXPECT_THAT(deviations(R"({"a": 1, "c": {"x": true}})"), IsEmpty());
    EXPECT_THAT(deviations(R"({"a": 1.5, "c": {}})"), Not(IsEmpty()));
    EXPECT_THAT(deviations(R"({"c": {}})"), Not(IsEmpty()));
    EXPECT_THAT(deviations(R"({"a": 1, "b": [1], "c": {}})"), Not(IsEmpty()));
    EXPECT_THAT(deviations(R"({"a": 1, "c": {"x": 1}})"), Not(IsEmpty()));
    EXPECT_THAT(deviations(R"({"a": 1, "c": {}, "d": 1})"), Not(IsEmpty()));
    EXPECT_THAT(deviations(R"({"a": null, "c": []})"), Not(IsEmpty()));
}

}  // namespace
}  // namespace anamnesis::testing
