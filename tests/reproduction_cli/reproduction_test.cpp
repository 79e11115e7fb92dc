// SPDX-License-Identifier: Apache-2.0
#include <chrono>
#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "anamnesis/base/json.hpp"
#include "anamnesis/io/file.hpp"

#include "folder_snapshot.hpp"
#include "run_command.hpp"
#include "temporary_folder.hpp"

namespace anamnesis::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class Reproduction : public ::testing::Test {
protected:
    std::string at(const std::string& name) const { return (folder_.path() / name).string(); }
    std::string text_at(const std::string& name) const { return io::read_text(at(name)); }

    static CommandResult command(std::vector<std::string> arguments,
                                 const CommandOptions& how = {}) {
        arguments.insert(arguments.begin(), ANAMNESIS_BINARY);
        return run_command(arguments, how);
    }

    CommandResult reproduce(const std::string& out, const CommandOptions& how = {}) const {
        return command(
            {"reproduce", "--quick", "--seeds", "3,4", "--threads", "1", "--out", at(out)}, how);
    }

    /// summary.json without what the clock says.
    Json read_summary(const std::string& out) const {
        Json summary = Json::parse(text_at(out + "/summary.json"));
        summary.set("seconds", Json());
        Json goals = Json::array();
        for (const Json& goal : summary.at("goals").as_array("goals")) {
            if (goal.at("goal").as_string("goal").find("minutes") == std::string::npos) {
                goals.push_back(goal);
            }
        }
        summary.set("goals", goals);
        return summary;
    }

    TemporaryFolder folder_;
};

TEST_F(Reproduction, GoesFromRandomWeightsToAReport) {
    const CommandResult result = reproduce("whole");
    ASSERT_EQ(result.exit_code, 0) << result.errors;
    EXPECT_THAT(result.output, HasSubstr("W_Q and W_K of pre bring recall back"));
    const Json summary = read_summary("whole");
    EXPECT_EQ(summary.at("seeds").as_array("seeds").size(), 2U);
    for (const char* name : {"pre",
                             "post",
                             "instruct",
                             "frozen",
                             "qk",
                             "q",
                             "k",
                             "v",
                             "lerp",
                             "pro-1",
                             "fit",
                             "refit",
                             "fit-qkvo",
                             "refit-qkvo",
                             "softmax-pre",
                             "softmax-post",
                             "softmax-qk"}) {
        EXPECT_NE(summary.at("checkpoints").find(name), nullptr) << name;
        EXPECT_TRUE(
            std::filesystem::exists(at(std::string("whole/seed-4/") + name + "/model.safetensors")))
            << name;
    }
    EXPECT_THAT(text_at("whole/report.html"), HasSubstr("<svg"));
    // The recipe's rates: MLPs learn at a tenth of what the softmax layer does.
    const auto find_drift = [&](const char* part) {
        return summary.at("drift").at(part).at("hybrid").at("mean").as_double(part);
    };
    EXPECT_LT(find_drift("mlp"), 0.1 * find_drift("o"));
    EXPECT_THAT(text_at("whole/summary.md"), HasSubstr("The paper's claims"));
    const CommandResult inspected = command({"inspect", at("whole/seed-3/pre")});
    EXPECT_THAT(inspected.output, HasSubstr("BF16"));
    // The frozen control kept its queries and keys, bit for bit, and nothing else.
    const CommandResult frozen = command({"verify",
                                          "--pre",
                                          at("whole/seed-3/pre"),
                                          "--post",
                                          at("whole/seed-3/post"),
                                          "--repaired",
                                          at("whole/seed-3/frozen"),
                                          "--method",
                                          "qk"});
    EXPECT_EQ(frozen.exit_code, 1) << frozen.output;
    EXPECT_THAT(frozen.output,
                Not(HasSubstr("deviation: tensor 'model.layers.2.self_attn.q_proj")));
    const CommandResult verified = command({"verify",
                                            "--pre",
                                            at("whole/seed-3/pre"),
                                            "--post",
                                            at("whole/seed-3/post"),
                                            "--repaired",
                                            at("whole/seed-3/qk")});
    EXPECT_EQ(verified.exit_code, 0) << verified.output << verified.errors;
}

TEST_F(Reproduction, GoesOnWhereItWasKilled) {
    ASSERT_EQ(reproduce("whole").exit_code, 0);
    CommandResult result;
    int runs = 0;
    for (std::chrono::milliseconds patience(300);; patience *= 2, ++runs) {
        result = reproduce("pieces", {.kill_after = patience});
        if (!result.was_killed) {
            break;
        }
    }
    ASSERT_EQ(result.exit_code, 0) << result.errors;
    EXPECT_GT(runs, 0);
    EXPECT_EQ(read_summary("pieces"), read_summary("whole"));
}

TEST_F(Reproduction, RefusesTheFolderOfAnotherRecipe) {
    ASSERT_EQ(reproduce("quick").exit_code, 0);
    const CommandResult result = command({"reproduce", "--seeds", "3", "--out", at("quick")});
    EXPECT_EQ(result.exit_code, 2);
    EXPECT_THAT(result.errors, HasSubstr("another recipe"));
}

TEST_F(Reproduction, RefusesASeedThatIsNamedTwiceAndFoldersOfOthers) {
    const auto reproduce_in = [&](const std::string& out, const std::string& seeds) {
        return command({"reproduce", "--quick", "--seeds", seeds, "--out", at(out)});
    };
    const CommandResult twice = reproduce_in("twice", "1,1");
    EXPECT_EQ(twice.exit_code, 2) << twice.output;
    EXPECT_THAT(twice.errors, HasSubstr("--seeds names 1 twice"));
    EXPECT_FALSE(std::filesystem::exists(at("twice")));
    // What a demo leaves, an evaluation, and what is of nobody here.
    folder_.write("demo/pre/model.safetensors", "weights");
    folder_.write("demo/report.html", "<html>");
    folder_.write("recall/summary.json", "{}");
    folder_.write("notes/notes.txt", "mine");
    for (const char* name : {"demo", "recall", "notes"}) {
        const auto before = snapshot(at(name));
        const CommandResult refused = reproduce_in(name, "1");
        EXPECT_EQ(refused.exit_code, 2) << refused.output;
        EXPECT_THAT(refused.errors, HasSubstr("not a folder that 'anamnesis reproduce' has made"));
        EXPECT_EQ(snapshot(at(name)), before);
    }
}

TEST_F(Reproduction, LeavesItsFolderToNoDemo) {
    folder_.write("runs/seed-3/recipe.json", "{}");
    const auto before = snapshot(at("runs"));
    const CommandResult refused = command({"demo", "--samples", "1", "--out", at("runs")});
    EXPECT_EQ(refused.exit_code, 2) << refused.output;
    EXPECT_THAT(refused.errors, HasSubstr("not a folder that 'anamnesis demo' has made"));
    EXPECT_EQ(snapshot(at("runs")), before);
}

TEST_F(Reproduction, IsToldInAMinuteByTheDemo) {
    const std::vector<std::string> arguments{
        "demo", "--samples", "3", "--threads", "1", "--out", at("demo")};
    const CommandResult result = command(arguments);
    ASSERT_EQ(result.exit_code, 0) << result.errors;
    for (const char* step : {"$ anamnesis inspect",
                             "$ anamnesis drift",
                             "$ anamnesis restore",
                             "$ anamnesis verify",
                             "proven",
                             "recall %",
                             "reasoning"}) {
        EXPECT_THAT(result.output, HasSubstr(step));
    }
    EXPECT_THAT(text_at("demo/report.html"), HasSubstr("<svg"));
    const CommandResult gradients = command({"gradients",
                                             "--model",
                                             at("demo/pre"),
                                             "--data",
                                             at("demo/cot.jsonl"),
                                             "--compare",
                                             at("demo/retrieval.jsonl"),
                                             "--out",
                                             at("gradients"),
                                             "--json"});
    ASSERT_EQ(gradients.exit_code, 0) << gradients.errors;
    EXPECT_EQ(Json::parse(gradients.output).at("data").as_object("data").size(), 2U);
    // Once more, over what is there.
    std::vector<std::string> again = arguments;
    again.emplace_back("--json");
    const CommandResult json = command(again);
    ASSERT_EQ(json.exit_code, 0) << json.errors;
    EXPECT_EQ(Json::parse(json.output).at("models").as_array("models").size(), 5U);
}

}  // namespace
}  // namespace anamnesis::testing
