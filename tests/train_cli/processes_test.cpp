// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <chrono>
#include <cmath>
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

/// Two processes on this machine. Open MPI asks root twice whether it means it.
CommandResult run_two(std::vector<std::string> arguments) {
    arguments.insert(
        arguments.begin(),
        {ANAMNESIS_MPIEXEC, "--oversubscribe", "--quiet", "-n", "2", ANAMNESIS_BINARY});
    return run_command(arguments,
                       {.environment = {{"OMPI_ALLOW_RUN_AS_ROOT", "1"},
                                        {"OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1"}}});
}

std::string model(const std::string& name) {
    return (fs::path(ANAMNESIS_TESTDATA) / "training" / name / "initial").string();
}

void expect_same_curve(const Json::Array& actual, const Json::Array& expected) {
    ASSERT_EQ(actual.size(), expected.size());
    for (std::size_t i = 0; i < expected.size(); ++i) {
        for (const char* figure : {"loss", "grad_norm"}) {
            const double value = expected[i].at(figure).as_double(figure);
            EXPECT_NEAR(actual[i].at(figure).as_double(figure), value, 1e-6 * value) << i;
        }
        EXPECT_EQ(actual[i].at("tokens").as_unsigned("t"),
                  expected[i].at("tokens").as_unsigned("t"));
    }
}

struct TwoProcesses : ::testing::Test {
    void SetUp() override {
        if (std::string(ANAMNESIS_MPIEXEC).empty()) {
            GTEST_SKIP() << "no MPI on this machine";
        }
    }

    TemporaryFolder folder;

    std::string out(const char* name) const { return (folder.path() / name).string(); }

    /// Samples of 12 to 20 tokens, of which the first say nothing.
    fs::path rows(std::size_t count, int highest) const {
        std::string text;
        for (std::size_t i = 0; i < count; ++i) {
            std::string ids;
            std::string labels;
            for (std::size_t t = 0; t < 12 + i % 9; ++t) {
                const auto id = (i * 7 + t * 3) % static_cast<std::size_t>(highest);
                ids += format("{}{}", t == 0 ? "" : ", ", id);
                labels += t < 4 ? format("{}-100", t == 0 ? "" : ", ") : format(", {}", id);
            }
            text += format("{{\"input_ids\": [{}], \"labels\": [{}]}}\n", ids, labels);
        }
        return folder.write("rows.jsonl", text);
    }
};

TEST_F(TwoProcesses, GiveTheLossCurveOfOne) {
    for (const std::string name : {"qwen3", "qwen3_5"}) {
        const auto command = [&](const std::string& to) {
            return std::vector<std::string>{
                "train",
                "--model",
                model(name),
                "--batches",
                (fs::path(ANAMNESIS_TESTDATA) / "training" / name / "batches.safetensors").string(),
                "--lr",
                "1e-3",
                "--threads",
                "1",
                "--out",
                to};
        };
        const CommandResult one = run_anamnesis(command(out((name + "-one").c_str())));
        ASSERT_EQ(one.exit_code, 0) << one.errors;
        const CommandResult two = run_two(command(out((name + "-two").c_str())));
        ASSERT_EQ(two.exit_code, 0) << two.errors;
        expect_same_curve(read_metrics(out((name + "-two").c_str())),
                          read_metrics(out((name + "-one").c_str())));
        const Json receipt =
            Json::parse(io::read_text(out((name + "-two").c_str()) + "/training.json"));
        EXPECT_EQ(receipt.at("processes").as_unsigned("processes"), 2U);
    }
}

TEST_F(TwoProcesses, SharePackedRowsAnchorsAndWhatOneProcessBegan) {
    const fs::path data = rows(60, 50);
    const auto command = [&](const std::string& to) {
        return std::vector<std::string>{
            "train",    "--model", model("qwen3"), "--data", data.string(),  "--pack",
            "--length", "64",      "--batch-size", "1",      "--accumulate", "3",
            "--steps",  "40",      "--anchor",     "qk=0.1", "--freeze",     "v",
            "--lr",     "1e-3",    "--save-every", "1",      "--threads",    "1",
            "--out",    to};
    };
    const auto begin = std::chrono::steady_clock::now();
    const CommandResult one = run_anamnesis(command(out("one")));
    ASSERT_EQ(one.exit_code, 0) << one.errors;
    const auto duration = std::chrono::duration_cast<std::chrono::microseconds>(
        std::chrono::steady_clock::now() - begin);
    run_anamnesis(command(out("two")), {.kill_after = duration / 2});
    const CommandResult two = run_two(command(out("two")));
    ASSERT_EQ(two.exit_code, 0) << two.errors;
    expect_same_curve(read_metrics(out("two")), read_metrics(out("one")));
}

TEST_F(TwoProcesses, EndTogetherWithOneLine) {
    const fs::path data = rows(40, 50);
    const CommandResult result = run_two({"train",
                                          "--model",
                                          model("qwen3"),
                                          "--data",
                                          data.string(),
                                          "--threads",
                                          "1",
                                          "--out",
                                          out("out"),
                                          "--quiet"});
    EXPECT_EQ(result.exit_code, 0) << result.errors;
    const fs::path wrong = folder.write("wrong.jsonl", "{\"input_ids\": [1, 2, 900000]}\n");
    const CommandResult refused = run_two({"train",
                                           "--model",
                                           model("qwen3"),
                                           "--data",
                                           wrong.string(),
                                           "--threads",
                                           "1",
                                           "--out",
                                           out("wrong"),
                                           "--quiet"});
    EXPECT_EQ(refused.exit_code, 6) << refused.errors;
    std::size_t lines = 0;
    for (const std::string& line : split(refused.errors, '\n')) {
        lines += line.starts_with("anamnesis: ") ? 1 : 0;
    }
    EXPECT_EQ(lines, 1U) << refused.errors;
    EXPECT_NE(refused.errors.find("900000"), std::string::npos) << refused.errors;
}

}  // namespace
}  // namespace anamnesis::testing
