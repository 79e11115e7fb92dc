// SPDX-License-Identifier: Apache-2.0
#include <sys/types.h>

#include <chrono>
#include <csignal>
#include <cstddef>
#include <filesystem>
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

constexpr std::size_t steps = 24;

/// What is trained, and the file that holds it at the end.
struct Trained {
    const char* name;
    std::vector<std::string> options;
    const char* file;
};

/// A run over ready rows, with everything that has a state: moments, an anchor, packing.
struct ResumedRun : ::testing::TestWithParam<Trained> {
    TemporaryFolder folder;
    fs::path data = folder.write("rows.jsonl", rows());

    static std::string rows() {
        std::string text;
        for (int i = 0; i < 40; ++i) {
            text += "{\"input_ids\": [";
            for (int t = 0; t < 12 + i % 9; ++t) {
                text += format("{}{}", t == 0 ? "" : ", ", (i * 7 + t * 3) % 50);
            }
            text += "]}\n";
        }
        return text;
    }

    std::vector<std::string> command(const fs::path& out, std::size_t count = steps) const {
        const fs::path model = fs::path(ANAMNESIS_TESTDATA) / "training" / "qwen3_5" / "initial";
        std::vector<std::string> words{"train",        "--model",
                                       model.string(), "--data",
                                       data.string(),  "--out",
                                       out.string(),   "--pack",
                                       "--length",     "64",
                                       "--lr",         "1e-3",
                                       "--batch-size", "1",
                                       "--accumulate", "2",
                                       "--save-every", "1",
                                       "--threads",    "1",
                                       "--steps",      format("{}", count)};
        words.insert(words.end(), GetParam().options.begin(), GetParam().options.end());
        return words;
    }
};

INSTANTIATE_TEST_SUITE_P(
    Of,
    ResumedRun,
    ::testing::Values(Trained{"Weights", {"--anchor", "qk=0.1"}, "model.safetensors"},
                      Trained{"Adapters", {"--lora", "r=4"}, "adapter_model.safetensors"}),
    [](const auto& instance) { return std::string(instance.param.name); });

TEST(RefusedRun, LeavesNothingInTheWayOfTheNext) {
    const TemporaryFolder folder;
    const fs::path model = fs::path(ANAMNESIS_TESTDATA) / "training" / "qwen3_5" / "initial";
    const fs::path data = folder.write("data.jsonl", R"({"prompt": "a", "response": "b"})");
    const fs::path out = folder.path() / "out";
    // The checkpoint has no tokenizer.
    const CommandResult result = run_anamnesis({"train",
                                                "--model",
                                                model.string(),
                                                "--data",
                                                data.string(),
                                                "--out",
                                                out.string(),
                                                "--steps",
                                                "1"});
    EXPECT_NE(result.exit_code, 0);
    EXPECT_FALSE(fs::exists(out)) << result.errors;
}

TEST_P(ResumedRun, EndsInTheSameBitsHoweverOftenItWasKilled) {
    const fs::path whole = folder.path() / "whole";
    const fs::path killed = folder.path() / "killed";
    const auto begin = std::chrono::steady_clock::now();
    const CommandResult uninterrupted = run_anamnesis(command(whole));
    ASSERT_EQ(uninterrupted.exit_code, 0) << uninterrupted.errors;
    const auto duration = std::chrono::duration_cast<std::chrono::microseconds>(
        std::chrono::steady_clock::now() - begin);
    std::size_t kills = 0;
    // Killed at other moments each time, then left alone.
    for (int part = 2; part < 6; ++part) {
        kills += run_anamnesis(command(killed), {.kill_after = duration * part / 6}).was_killed;
    }
    const CommandResult last = run_anamnesis(command(killed));
    ASSERT_EQ(last.exit_code, 0) << last.errors;
    EXPECT_GE(kills, 1U);
    EXPECT_EQ(io::read_text(killed / GetParam().file), io::read_text(whole / GetParam().file));
    const Json::Array expected = read_metrics(whole);
    const Json::Array actual = read_metrics(killed);
    ASSERT_EQ(actual.size(), steps);
    for (std::size_t i = 0; i < steps; ++i) {
        EXPECT_EQ(actual[i].at("step").as_unsigned("step"), i);
        EXPECT_EQ(actual[i].at("loss").as_double("loss"), expected[i].at("loss").as_double("loss"));
    }
    EXPECT_FALSE(fs::exists(killed / "resume"));
    // A kill between the receipt and the removal leaves it.
    folder.write(fs::path("killed") / "resume" / "step-1.safetensors", "left");
    EXPECT_EQ(run_anamnesis(command(killed)).exit_code, 0);
    EXPECT_FALSE(fs::exists(killed / "resume"));
}

TEST_P(ResumedRun, PassesOverABrokenState) {
    const fs::path out = folder.path() / "out";
    constexpr std::size_t many = 200;
    const std::vector<std::string> arguments = command(out, many);
    const CommandResult interrupted = run_anamnesis(arguments, {.beside = [&](pid_t program) {
                                                        wait_for_lines(out / "metrics.jsonl", 2);
                                                        ::kill(program, SIGKILL);
                                                    }});
    ASSERT_TRUE(interrupted.was_killed) << interrupted.errors;
    folder.write(fs::path("out") / "resume" / "step-199.safetensors", "torn");
    const CommandResult last = run_anamnesis(arguments);
    EXPECT_EQ(last.exit_code, 0) << last.errors;
    EXPECT_EQ(read_metrics(out).size(), many);
}

}  // namespace
}  // namespace anamnesis::testing
