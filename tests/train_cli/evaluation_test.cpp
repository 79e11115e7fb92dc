// SPDX-License-Identifier: Apache-2.0
#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "anamnesis/base/json.hpp"
#include "anamnesis/io/file.hpp"

#include "tiny_model.hpp"
#include "train_command.hpp"

namespace anamnesis::testing {
namespace {

namespace fs = std::filesystem;

struct ARunThatIsWatched : ::testing::Test {
    TemporaryFolder folder;

    std::string out(const char* name) const { return (folder.path() / name).string(); }

    CommandResult train(const char* name, const std::vector<std::string>& more) const {
        std::vector<std::string> command{"train",
                                         "--init",
                                         std::string(ANAMNESIS_SOURCE) + "/tools/demo_config.json",
                                         "--data",
                                         "synthetic:cot",
                                         "--stages",
                                         "4x3x112",
                                         "--threads",
                                         "1",
                                         "--out",
                                         out(name)};
        command.insert(command.end(), more.begin(), more.end());
        return run_anamnesis(command);
    }
};

TEST_F(ARunThatIsWatched, HasItsRecallInTheMetricsAndTheSameWeights) {
    ASSERT_EQ(train("plain", {}).exit_code, 0);
    const CommandResult watched = train(
        "watched",
        {"--eval-every", "2", "--eval-lengths", "68,96", "--eval-samples", "3", "--tensorboard"});
    ASSERT_EQ(watched.exit_code, 0) << watched.errors;
    const Json::Array lines = read_metrics(out("watched"));
    ASSERT_EQ(lines.size(), 4U);
    for (std::size_t step = 0; step < 4; ++step) {
        const Json* evaluation = lines[step].find("evaluation");
        ASSERT_EQ(evaluation != nullptr, step % 2 == 1) << step;
        if (evaluation != nullptr) {
            for (const char* task : {"S1", "S2", "S3"}) {
                for (const char* length : {"68", "96"}) {
                    const double percent = evaluation->at(task).at(length).as_double(length);
                    EXPECT_GE(percent, 0.0);
                    EXPECT_LE(percent, 100.0);
                }
            }
            EXPECT_NE(evaluation->find("cot"), nullptr);
        }
    }
    EXPECT_EQ(io::read_text(fs::path(out("watched")) / "model.safetensors"),
              io::read_text(fs::path(out("plain")) / "model.safetensors"));
    std::string events;
    for (const fs::directory_entry& entry : fs::directory_iterator(out("watched"))) {
        if (entry.path().filename().string().starts_with("events.out.tfevents.")) {
            events = io::read_text(entry.path());
        }
    }
    for (const char* name : {"brain.Event:2", "loss", "lr", "evaluation/S3/96", "evaluation/cot"}) {
        EXPECT_NE(events.find(name), std::string::npos) << name;
    }
}

TEST_F(ARunThatIsWatched, MixesReplayedRowsIntoEveryStep) {
    ASSERT_EQ(train("plain", {}).exit_code, 0);
    const CommandResult replaying = train(
        "replaying", {"--replay", "synthetic:retrieval", "--replay-rows", "2", "--length", "96"});
    ASSERT_EQ(replaying.exit_code, 0) << replaying.errors;
    const Json::Array plain = read_metrics(out("plain"));
    const Json::Array more = read_metrics(out("replaying"));
    for (std::size_t step = 0; step < 4; ++step) {
        const auto tokens = more[step].at("tokens").as_unsigned("tokens") -
                            plain[step].at("tokens").as_unsigned("tokens");
        EXPECT_TRUE(tokens == 2 * 96 || tokens == 2 * 64) << tokens;
    }
    const CommandResult refused = train("refused", {"--replay", "synthetic:nothing"});
    EXPECT_EQ(refused.exit_code, 2) << refused.errors;
}

TEST_F(ARunThatIsWatched, AsksOtherModelsAsNiahAndReasonDo) {
    const TemporaryFolder model;
    write_tiny_model(model, "hypenet_base");
    // A context in which an answer of 8,192 tokens has no room.
    Json config = Json::parse(io::read_text(model.path() / "config.json"));
    config.set("max_position_embeddings", 4400);
    model.write("config.json", config.dump());
    folder.write("sft.jsonl",
                 R"({"prompt": "One and one", "response": " is two."})"
                 "\n");
    folder.write("gsm8k.jsonl",
                 R"({"question": "One and one?", "answer": "It is two.\n#### 2"})"
                 "\n");
    const auto train_it = [&](const char* name, std::vector<std::string> more) {
        std::vector<std::string> command{"train",
                                         "--model",
                                         model.path().string(),
                                         "--data",
                                         out("sft.jsonl"),
                                         "--steps",
                                         "2",
                                         "--batch-size",
                                         "1",
                                         "--threads",
                                         "1",
                                         "--out",
                                         out(name)};
        command.insert(command.end(), more.begin(), more.end());
        return run_anamnesis(command);
    };
    ASSERT_EQ(train_it("plain", {}).exit_code, 0);
    const CommandResult watched = train_it("watched",
                                           {"--eval-every",
                                            "1",
                                            "--eval-lengths",
                                            "4096",
                                            "--eval-samples",
                                            "1",
                                            "--eval-reason",
                                            "gsm8k",
                                            "--eval-data",
                                            out("gsm8k.jsonl")});
    ASSERT_EQ(watched.exit_code, 0) << watched.errors;
    for (const Json& line : read_metrics(out("watched"))) {
        const Json& evaluation = line.at("evaluation");
        for (const char* task : {"niah_single_1", "niah_single_2", "niah_single_3"}) {
            EXPECT_GE(evaluation.at(task).at("4096").as_double("score"), 0.0) << task;
        }
        EXPECT_GE(evaluation.at("gsm8k").as_double("gsm8k"), 0.0);
    }
    EXPECT_NE((watched.output + watched.errors).find("--eval-reason: answers of up to 4"),
              std::string::npos)
        << watched.output << watched.errors;
    EXPECT_FALSE(fs::exists(out("watched") + "/evaluation")) << "the network is asked in memory";
    EXPECT_EQ(io::read_text(fs::path(out("watched")) / "model.safetensors"),
              io::read_text(fs::path(out("plain")) / "model.safetensors"));
}

TEST_F(ARunThatIsWatched, RefusesQuestionsThatDoNotFitBeforeItsFirstStep) {
    const TemporaryFolder model;
    write_tiny_model(model, "hypenet_base");
    folder.write("sft.jsonl",
                 R"({"prompt": "One and one", "response": " is two."})"
                 "\n");
    folder.write("broken.jsonl",
                 R"({"question": "One and one?"})"
                 "\n");
    const auto refused = [&](const std::vector<std::string>& more) {
        std::vector<std::string> command{"train",
                                         "--model",
                                         model.path().string(),
                                         "--data",
                                         out("sft.jsonl"),
                                         "--steps",
                                         "2",
                                         "--out",
                                         out("refused"),
                                         "--eval-every",
                                         "1"};
        command.insert(command.end(), more.begin(), more.end());
        const CommandResult result = run_anamnesis(command);
        EXPECT_FALSE(fs::exists(out("refused") + "/metrics.jsonl")) << "it took a step";
        return result;
    };
    const CommandResult longer = refused({"--eval-lengths", "1000000"});
    EXPECT_EQ(longer.exit_code, 2) << longer.errors;
    EXPECT_NE(longer.errors.find("--eval-lengths has 1000000"), std::string::npos) << longer.errors;
    const CommandResult shorter = refused({"--eval-lengths", "68"});
    EXPECT_EQ(shorter.exit_code, 2) << shorter.errors;
    EXPECT_NE(shorter.errors.find("--eval-lengths has 68"), std::string::npos) << shorter.errors;
    const auto reason = [&](const char* data) {
        return refused({"--eval-lengths",
                        "4096",
                        "--eval-samples",
                        "1",
                        "--eval-reason",
                        "gsm8k",
                        "--eval-data",
                        out(data)});
    };
    EXPECT_EQ(reason("missing.jsonl").exit_code, 3);
    const CommandResult broken = reason("broken.jsonl");
    EXPECT_EQ(broken.exit_code, 4) << broken.errors;
    EXPECT_NE(broken.errors.find("--eval-data"), std::string::npos) << broken.errors;
    const CommandResult synthetic =
        train("refused", {"--eval-every", "2", "--eval-lengths", "128,5000"});
    EXPECT_EQ(synthetic.exit_code, 2) << synthetic.errors;
    EXPECT_NE(synthetic.errors.find("--eval-lengths has 5000"), std::string::npos)
        << synthetic.errors;
    EXPECT_FALSE(fs::exists(out("refused") + "/metrics.jsonl"));
}

TEST_F(ARunThatIsWatched, RefusesToMeasureAModelWithoutTokenizer) {
    const fs::path golden = fs::path(ANAMNESIS_TESTDATA) / "training" / "qwen3";
    const CommandResult refused = run_anamnesis({"train",
                                                 "--model",
                                                 (golden / "initial").string(),
                                                 "--batches",
                                                 (golden / "batches.safetensors").string(),
                                                 "--eval-every",
                                                 "1",
                                                 "--out",
                                                 out("other")});
    EXPECT_EQ(refused.exit_code, 5) << refused.errors;
    EXPECT_NE(refused.errors.find("tokenizer.json"), std::string::npos) << refused.errors;
}

}  // namespace
}  // namespace anamnesis::testing
