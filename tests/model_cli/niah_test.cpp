// SPDX-License-Identifier: Apache-2.0
//
// Recall of a real (tiny, random) hybrid, in the command's own process and behind a server.
#include <algorithm>
#include <chrono>
#include <cstddef>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/io/file.hpp"
#include "anamnesis/runtime/hybrid_model.hpp"

#include "folder_snapshot.hpp"
#include "json_schema.hpp"
#include "openai_server.hpp"
#include "run_command.hpp"
#include "temporary_folder.hpp"
#include "tiny_model.hpp"

namespace anamnesis::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class NiahOnAModel : public ::testing::Test {
protected:
    NiahOnAModel() { write_tiny_model(model_, "hypenet_base"); }

    CommandResult niah(const std::string& out,
                       const std::vector<std::string>& more,
                       const CommandOptions& options = {}) const {
        std::vector<std::string> words{ANAMNESIS_BINARY,
                                       "niah",
                                       "--lengths",
                                       "2k,4k",
                                       "--max-tokens",
                                       "48",
                                       "--out",
                                       (folder_.path() / out).string()};
        words.insert(words.end(), more.begin(), more.end());
        if (std::ranges::find(more, "--endpoint") == more.end()) {
            words.insert(words.end(), {"--chunk", "256"});
        }
        return run_command(words, options);
    }
    CommandResult on_the_model(const std::string& out,
                               std::vector<std::string> more,
                               const CommandOptions& options = {}) const {
        more.insert(more.end(), {"--model", "m=" + model_.path().string()});
        return niah(out, more, options);
    }

    /// Texts by sample.
    std::map<std::string, std::string> texts(const std::string& out) const {
        std::map<std::string, std::string> result;
        for (const std::string& line :
             split(io::read_text(folder_.path() / out / "results.jsonl"), '\n')) {
            if (!line.empty()) {
                const Json json = Json::parse(line);
                EXPECT_TRUE(
                    result.emplace(json.at("id").as_string("id"), json.at("text").as_string("text"))
                        .second);
            }
        }
        return result;
    }

    TemporaryFolder model_;
    TemporaryFolder folder_;
};

TEST_F(NiahOnAModel, AnswersTheSameWithAndWithoutSharingWhatPromptsBeginWith) {
    const std::vector<std::string> sweep{"--tasks", "s2", "--depths", "5", "--samples", "2"};
    const CommandResult shared = on_the_model("shared", sweep);
    ASSERT_EQ(shared.exit_code, 0) << shared.errors;
    EXPECT_THAT(shared.output, HasSubstr("times fewer"));
    std::vector<std::string> alone = sweep;
    alone.emplace_back("--no-sharing");
    const CommandResult result = on_the_model("alone", alone);
    ASSERT_EQ(result.exit_code, 0) << result.errors;
    EXPECT_EQ(texts("shared").size(), 20U);
    EXPECT_EQ(texts("shared"), texts("alone"));
}

TEST_F(NiahOnAModel, AnswersTheSameBehindAServer) {
    const std::vector<std::string> tasks{"--tasks", "s1", "--samples", "3"};
    ASSERT_EQ(on_the_model("embedded", tasks).exit_code, 0);
    const auto checkpoint = checkpoint::Checkpoint::open(model_.path());
    const auto hybrid = runtime::HybridModel::load(
        checkpoint, checkpoint::recognise(checkpoint), {.prefill_chunk = 256});
    const OpenAiServer server(*hybrid);
    std::vector<std::string> remote = tasks;
    remote.insert(
        remote.end(),
        {"--endpoint", server.url(), "--tokenizer", model_.path().string(), "--model", "m=tiny"});
    const CommandResult result = niah("remote", remote);
    ASSERT_EQ(result.exit_code, 0) << result.errors;
    EXPECT_EQ(texts("remote").size(), 6U);
    EXPECT_EQ(texts("remote"), texts("embedded"));
    EXPECT_TRUE(server.bodies().front().at("prompt").is_array());
}

TEST_F(NiahOnAModel, IsComparedWithAServerOfTheSameModelAndOfAnother) {
    const auto checkpoint = checkpoint::Checkpoint::open(model_.path());
    const auto hybrid = runtime::HybridModel::load(
        checkpoint, checkpoint::recognise(checkpoint), {.prefill_chunk = 256});
    const auto compare = [&](const OpenAiServer& server) {
        return run_command({ANAMNESIS_BINARY,
                            "compare",
                            "--model",
                            model_.path().string(),
                            "--endpoint",
                            server.url(),
                            "--prompt",
                            "one two three",
                            "--max-tokens",
                            "8",
                            "--json"});
    };
    const OpenAiServer same(*hybrid);
    const CommandResult equal = compare(same);
    ASSERT_EQ(equal.exit_code, 0) << equal.errors << equal.output;
    const Json found = Json::parse(equal.output.substr(equal.output.find("{\n")));
    EXPECT_THAT(find_deviations(found, read_schema("compare")), ::testing::IsEmpty());
    EXPECT_EQ(found.at("equal").as_unsigned("equal"), 1U);

    OpenAiServer other(*hybrid);
    other.refuse([](const Json&, bool) -> std::optional<std::pair<int, std::string>> {
        return std::pair(200,
                         std::string(R"({"choices": [{"text": "quite different", )"
                                     R"("finish_reason": "length"}]})"));
    });
    const CommandResult different = compare(other);
    EXPECT_EQ(different.exit_code, 1) << different.errors;
    EXPECT_THAT(different.output, HasSubstr("\"agreement\": \"different\""));
}

TEST_F(NiahOnAModel, IsNotComparedOnNeedlesBesidePromptsOfOnesOwn) {
    const CommandResult result = run_command({ANAMNESIS_BINARY,
                                              "compare",
                                              "--model",
                                              model_.path().string(),
                                              "--endpoint",
                                              "http://127.0.0.1:9",
                                              "--prompt",
                                              "one two three",
                                              "--lengths",
                                              "1k"});
    EXPECT_EQ(result.exit_code, 2) << result.errors;
    EXPECT_THAT(result.errors, HasSubstr("--prompt excludes --lengths"));
}

TEST_F(NiahOnAModel, ReasonsTheSameBehindAServer) {
    const std::string data = folder_
                                 .write("data.jsonl",
                                        R"({"question": "What is 1 + 1?", "answer": "2"})"
                                        "\n"
                                        R"({"question": "What is 2 + 3?", "answer": "5"})")
                                 .string();
    const auto reason = [&](const std::string& out, const std::vector<std::string>& who) {
        std::vector<std::string> words{ANAMNESIS_BINARY,
                                       "reason",
                                       "--task",
                                       "custom",
                                       "--data",
                                       data,
                                       "--plain",
                                       "--max-tokens",
                                       "24",
                                       "--out",
                                       (folder_.path() / out).string()};
        words.insert(words.end(), who.begin(), who.end());
        const CommandResult result = run_command(words);
        EXPECT_EQ(result.exit_code, 0) << result.errors;
        return io::read_text(folder_.path() / out / "results.jsonl");
    };
    const auto responses = [](const std::string& lines) {
        std::map<std::string, std::string> result;
        for (const std::string& line : split(lines, '\n')) {
            if (!line.empty()) {
                const Json json = Json::parse(line);
                result[json.at("id").as_string("id")] = json.at("response").as_string("response");
            }
        }
        return result;
    };
    const std::string embedded =
        reason("embedded", {"--model", "m=" + model_.path().string(), "--chunk", "256"});
    const auto checkpoint = checkpoint::Checkpoint::open(model_.path());
    const auto hybrid = runtime::HybridModel::load(
        checkpoint, checkpoint::recognise(checkpoint), {.prefill_chunk = 256});
    const OpenAiServer server(*hybrid);
    const std::string remote = reason(
        "remote",
        {"--model", "m=tiny", "--endpoint", server.url(), "--tokenizer", model_.path().string()});
    EXPECT_EQ(responses(embedded).size(), 2U);
    EXPECT_EQ(responses(remote), responses(embedded));
}

TEST_F(NiahOnAModel, IsTrustedByItsEngineCheckButForItsLoops) {
    const CommandResult result =
        on_the_model("r", {"--tasks", "s1", "--samples", "1", "--check-engine"});
    // Random weights answer the same each time, and in circles.
    EXPECT_EQ(result.exit_code, 6);
    EXPECT_THAT(result.output, HasSubstr("ok   the same prompt twice"));
    EXPECT_THAT(result.output, HasSubstr("ok   an answer does not depend"));
    EXPECT_THAT(result.output, HasSubstr("FAIL answers to short prompts are no loops"));
}

TEST_F(NiahOnAModel, GoesOnWhereItWasKilled) {
    const std::vector<std::string> tasks{"--tasks", "s1", "--samples", "6", "-q"};
    ASSERT_EQ(on_the_model("whole", tasks).exit_code, 0);
    bool is_over = false;
    for (int i = 0; !is_over; ++i) {
        const auto time = std::chrono::milliseconds(1500 + 500 * i);
        const CommandResult result = on_the_model("killed", tasks, {.kill_after = time});
        is_over = !result.was_killed;
    }
    EXPECT_EQ(texts("killed"), texts("whole"));
}

TEST_F(NiahOnAModel, RefusesAModelRunInAnotherWayInTheSameFolder) {
    const std::vector<std::string> few{"--tasks", "s1", "--samples", "1", "--dtype", "f32"};
    ASSERT_EQ(on_the_model("r", few).exit_code, 0);
    for (const auto& [option, value] : std::map<std::string, std::string>{
             {"--dtype", "bf16"}, {"--cache-dtype", "bf16"}, {"--attn-logits-scaling", "none"}}) {
        std::vector<std::string> other = few;
        other.insert(other.end(), {option, value});
        if (option == "--dtype") {
            other.erase(other.begin() + 4, other.begin() + 6);
        }
        const CommandResult result = on_the_model("r", other);
        EXPECT_EQ(result.exit_code, 6) << option << ": " << result.errors;
        EXPECT_THAT(result.errors, HasSubstr("running"));
    }
}

TEST_F(NiahOnAModel, ReportsNoOtherCheckpointFromACompleteFolder) {
    const std::vector<std::string> few{"--tasks", "s1", "--samples", "1", "-q"};
    ASSERT_EQ(on_the_model("r", few).exit_code, 0);
    EXPECT_EQ(on_the_model("r", few).exit_code, 0);
    const std::string record = io::read_text(folder_.path() / "r" / "run.json");
    const TemporaryFolder other;
    write_tiny_model(other, "hypenet_base");
    std::string weights = io::read_text(other.path() / "model.safetensors");
    weights.back() = static_cast<char>(weights.back() ^ 1);
    other.write("model.safetensors", weights);
    const std::string first = "=" + model_.path().string();
    const std::string second = "=" + other.path().string();
    const auto ask = [&](const std::vector<std::string>& models) {
        std::vector<std::string> words = few;
        for (const std::string& model : models) {
            words.insert(words.end(), {"--model", model});
        }
        return niah("r", words);
    };
    // Also where the others have questions left, which are then not asked.
    for (const std::vector<std::string>& models :
         {std::vector<std::string>{"m" + second},
          std::vector<std::string>{"n" + first, "m" + second}}) {
        const CommandResult refused = ask(models);
        EXPECT_EQ(refused.exit_code, 6) << refused.errors;
        EXPECT_THAT(refused.errors, HasSubstr("stands for another checkpoint"));
        EXPECT_EQ(io::read_text(folder_.path() / "r" / "run.json"), record);
    }
    const CommandResult both = ask({"m" + first, "n" + second});
    EXPECT_EQ(both.exit_code, 0) << both.errors;
    EXPECT_EQ(ask({"n" + first}).exit_code, 6);
    // Weights may go once they have answered.
    std::filesystem::remove_all(other.path());
    const CommandResult gone = niah(
        "r", {"--tasks", "s1", "--samples", "1", "--model", "m" + first, "--model", "n" + second});
    EXPECT_EQ(gone.exit_code, 0) << gone.errors;
    EXPECT_THAT(gone.errors, HasSubstr("is no longer there"));
}

TEST_F(NiahOnAModel, RefusesTheModelsOwnFolderForItsResults) {
    const auto before = snapshot(model_.path());
    const CommandResult refused =
        on_the_model(model_.path().string(), {"--tasks", "s1", "--samples", "1"});
    EXPECT_EQ(refused.exit_code, 2) << refused.errors;
    EXPECT_THAT(refused.errors, HasSubstr("the folder of a checkpoint"));
    EXPECT_EQ(snapshot(model_.path()), before);
}

TEST_F(NiahOnAModel, RefusesALengthBeyondTheContext) {
    const CommandResult result =
        on_the_model("r", {"--tasks", "s1", "--samples", "1", "--context-length", "3000"});
    EXPECT_EQ(result.exit_code, 2);
    EXPECT_THAT(result.errors, HasSubstr("the model 3000"));
    EXPECT_THAT(result.errors, HasSubstr("ask for less (--lengths, --max-tokens)"));
}

TEST_F(NiahOnAModel, ReasoningBeyondTheContextIsRefusedWithOptionsThatReasonHas) {
    const std::string data =
        folder_.write("data.jsonl", R"({"question": "What is 1 + 1?", "answer": "2"})").string();
    const CommandResult result = run_command({ANAMNESIS_BINARY,
                                              "reason",
                                              "--task",
                                              "custom",
                                              "--data",
                                              data,
                                              "--plain",
                                              "--context-length",
                                              "64",
                                              "--model",
                                              "m=" + model_.path().string(),
                                              "--out",
                                              (folder_.path() / "r").string()});
    EXPECT_EQ(result.exit_code, 2) << result.output;
    EXPECT_THAT(result.errors, HasSubstr("ask for less (--max-tokens)"));
    EXPECT_THAT(result.errors, Not(HasSubstr("--lengths")));
}

}  // namespace
}  // namespace anamnesis::testing
