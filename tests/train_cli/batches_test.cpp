// SPDX-License-Identifier: Apache-2.0
#include <sys/resource.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <filesystem>
#include <fstream>
#include <ios>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/io/file.hpp"

#include "train_command.hpp"

namespace anamnesis::testing {
namespace {

namespace fs = std::filesystem;

struct ReadyBatches : ::testing::TestWithParam<std::string> {
    TemporaryFolder folder;

    fs::path golden() const { return fs::path(ANAMNESIS_TESTDATA) / "training" / GetParam(); }
    std::string out() const { return (folder.path() / "out").string(); }

    std::vector<std::string> command() const {
        return {"train",
                "--model",
                (golden() / "initial").string(),
                "--batches",
                (golden() / "batches.safetensors").string(),
                "--steps",
                "20",
                "--lr",
                "1e-3",
                "--schedule",
                "cosine",
                "--warmup",
                "5",
                "--min-lr-ratio",
                "0.1",
                "--betas",
                "0.9,0.95",
                "--eps",
                "1e-8",
                "--weight-decay",
                "0.1",
                "--clip",
                "1.0",
                "--dtype",
                "f32",
                "--out",
                out()};
    }
};

INSTANTIATE_TEST_SUITE_P(Models,
                         ReadyBatches,
                         ::testing::Values("qwen3", "qwen3_5"),
                         [](const auto& instance) { return instance.param; });

TEST_P(ReadyBatches, GiveTheGoldenMetricsAndCheckpoint) {
    const CommandResult result = run_anamnesis(command());
    ASSERT_EQ(result.exit_code, 0) << result.errors;
    const Json expected = Json::parse(io::read_text(golden() / "expected.json"));
    const Json::Array lines = read_metrics(out());
    ASSERT_EQ(lines.size(), 20U);
    for (std::size_t step = 0; step < 20; ++step) {
        const auto golden_figure = [&](const char* name) {
            return expected.at("float32").at(name).as_array(name)[step].as_double(name);
        };
        EXPECT_NEAR(lines[step].at("loss").as_double("loss"),
                    golden_figure("loss"),
                    1e-6 * golden_figure("loss"));
        EXPECT_NEAR(lines[step].at("grad_norm").as_double("grad_norm"),
                    golden_figure("grad_norm_before_clipping"),
                    1e-6 * golden_figure("grad_norm_before_clipping"));
        EXPECT_NEAR(lines[step].at("lr").as_double("lr"),
                    expected.at("learning_rate").as_array("lr")[step].as_double("lr"),
                    1e-12);
    }
    expect_near_weights(
        fs::path(out()) / "model.safetensors", golden() / "final_float32.safetensors", 1e-5);
    EXPECT_EQ(io::read_text(fs::path(out()) / "config.json"),
              io::read_text(golden() / "initial" / "config.json"));
    const CommandResult inspected = run_anamnesis({"inspect", out(), "--json"});
    EXPECT_EQ(inspected.exit_code, 0) << inspected.errors;
}

TEST_P(ReadyBatches, AreTrainedOnceAndTheFolderIsNoOtherRuns) {
    ASSERT_EQ(run_anamnesis(command()).exit_code, 0);
    const std::string weights = io::read_text(fs::path(out()) / "model.safetensors");
    const CommandResult again = run_anamnesis(command());
    EXPECT_EQ(again.exit_code, 0);
    EXPECT_NE(again.output.find("finished already"), std::string::npos);
    EXPECT_EQ(io::read_text(fs::path(out()) / "model.safetensors"), weights);
    std::vector<std::string> other = command();
    other[8] = "2e-3";
    const CommandResult refused = run_anamnesis(other);
    EXPECT_EQ(refused.exit_code, 6);
    EXPECT_NE(refused.errors.find("lr was 0.001, now 0.002"), std::string::npos) << refused.errors;
}

TEST_P(ReadyBatches, OfOtherBytesUnderTheSamePathAreNoRunThatGoesOn) {
    std::vector<std::string> words = command();
    const auto name = std::ranges::find(words, std::string("--batches")) + 1;
    ASSERT_LT(name, words.end());
    const fs::path copy = fs::path(out()).parent_path() / "copy.safetensors";
    fs::copy_file(*name, copy);
    *name = copy.string();
    ASSERT_EQ(run_anamnesis(words).exit_code, 0);
    std::fstream file(copy, std::ios::binary | std::ios::in | std::ios::out);
    file.seekp(-1, std::ios::end);
    file.put(1);
    file.close();
    const CommandResult refused = run_anamnesis(words);
    EXPECT_EQ(refused.exit_code, 6) << refused.output;
    EXPECT_NE(refused.errors.find("digests"), std::string::npos) << refused.errors;
}

TEST_P(ReadyBatches, TrainWhatAnEarlierRunWrote) {
    ASSERT_EQ(run_anamnesis(command()).exit_code, 0);
    std::vector<std::string> further = command();
    further[2] = out();
    further.back() = (folder.path() / "further").string();
    ASSERT_EQ(run_anamnesis(further).exit_code, 0);
    // Not the earlier run's record.
    const CommandResult again = run_anamnesis(further);
    EXPECT_EQ(again.exit_code, 0) << again.errors;
    EXPECT_NE(again.output.find("finished already"), std::string::npos) << again.output;
}

TEST(ReadyBatchesFile, ThatDoesNotFitIsRefusedByName) {
    const fs::path golden = fs::path(ANAMNESIS_TESTDATA) / "training";
    const TemporaryFolder folder;
    const auto train = [&](const std::string& batches, const std::string& steps) {
        return run_anamnesis({"train",
                              "--model",
                              (golden / "qwen3" / "initial").string(),
                              "--batches",
                              batches,
                              "--steps",
                              steps,
                              "--out",
                              (folder.path() / "out").string()});
    };
    const CommandResult missing =
        train((golden / "qwen3" / "final_float32.safetensors").string(), "1");
    EXPECT_EQ(missing.exit_code, 3);
    EXPECT_NE(missing.errors.find("input_ids"), std::string::npos) << missing.errors;
    const CommandResult longer = train((golden / "qwen3" / "batches.safetensors").string(), "21");
    EXPECT_EQ(longer.exit_code, 2);
    EXPECT_NE(longer.errors.find("--steps is 21"), std::string::npos) << longer.errors;
    EXPECT_FALSE(fs::exists(folder.path() / "out" / "model.safetensors"));
}

TEST(TrainingTexts, WithTokensOfAnotherVocabularyAreRefusedBeforeTheFirstStep) {
    const TemporaryFolder folder;
    std::string rows;
    for (int i = 0; i < 40; ++i) {
        rows += R"({"input_ids": [1, 2, 3]})"
                "\n";
    }
    rows += R"({"id": "last", "input_ids": [1, 2, 70000]})"
            "\n";
    const CommandResult result =
        run_anamnesis({"train",
                       "--model",
                       (fs::path(ANAMNESIS_TESTDATA) / "training/qwen3/initial").string(),
                       "--data",
                       folder.write("rows.jsonl", rows).string(),
                       "--out",
                       (folder.path() / "out").string()});
    EXPECT_EQ(result.exit_code, 6);
    EXPECT_NE(result.errors.find("text 'last' has token 70000"), std::string::npos)
        << result.errors;
    EXPECT_FALSE(fs::exists(folder.path() / "out" / "metrics.jsonl"));
}

/// The most memory that a program of this process has taken, in bytes.
std::size_t peak_of_programs() {
    rusage usage{};
    ::getrusage(RUSAGE_CHILDREN, &usage);
    return static_cast<std::size_t>(usage.ru_maxrss) * 1024;
}

TEST(LongRuns, TakeNoMoreMemoryThanShortOnes) {
    const TemporaryFolder folder;
    // An embedding of 46 MB: its gradients come and go among small blocks.
    const auto config = folder.write(
        "config.json",
        R"({"model_type": "qwen3", "hidden_size": 144, "intermediate_size": 96, "num_hidden_layers": 2,
            "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 16, "vocab_size": 80000,
            "tie_word_embeddings": true, "rms_norm_eps": 1e-6, "rope_theta": 10000.0})");
    const auto peak_of = [&](const std::string& steps) {
        const CommandResult result = run_anamnesis({"train",
                                                    "--init",
                                                    config.string(),
                                                    "--initializer",
                                                    "fan_in",
                                                    "--data",
                                                    "synthetic:mix",
                                                    "--stages",
                                                    steps + "x1x64",
                                                    "--lr",
                                                    "1e-5",
                                                    "--dtype",
                                                    "f32",
                                                    "--out",
                                                    (folder.path() / steps).string()});
        EXPECT_EQ(result.exit_code, 0) << result.errors;
        return peak_of_programs();
    };
    const std::size_t few = peak_of("4");
    EXPECT_LT(peak_of("30"), few + 5 * 46'000'000);
}

}  // namespace
}  // namespace anamnesis::testing
