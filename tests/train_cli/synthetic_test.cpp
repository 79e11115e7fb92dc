// SPDX-License-Identifier: Apache-2.0
#include <filesystem>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "anamnesis/base/json.hpp"
#include "anamnesis/io/file.hpp"

#include "train_command.hpp"

namespace anamnesis::testing {
namespace {

namespace fs = std::filesystem;

/// The demo's pair, barely trained: the way from random weights to a repaired checkpoint.
TEST(ASyntheticRun, GivesCheckpointsThatEveryVerbReads) {
    const TemporaryFolder folder;
    const auto at = [&](const char* name) { return (folder.path() / name).string(); };
    const std::string config = std::string(ANAMNESIS_SOURCE) + "/tools/demo_config.json";
    const CommandResult pre = run_anamnesis({"train",
                                             "--init",
                                             config,
                                             "--initializer",
                                             "fan_in",
                                             "--data",
                                             "synthetic:mix",
                                             "--stages",
                                             "10x4x64,4x2x96",
                                             "--lr",
                                             "3e-3",
                                             "--out",
                                             at("pre")});
    ASSERT_EQ(pre.exit_code, 0) << pre.errors;
    EXPECT_NE(pre.output.find("memory: about"), std::string::npos) << pre.output;
    const Json::Array lines = read_metrics(at("pre"));
    ASSERT_EQ(lines.size(), 14U);
    EXPECT_LT(lines[12].at("loss").as_double("loss"), lines[0].at("loss").as_double("loss"));
    const CommandResult post = run_anamnesis({"train",
                                              "--model",
                                              at("pre"),
                                              "--data",
                                              "synthetic:cot",
                                              "--stages",
                                              "3x4x112",
                                              "--lr",
                                              "1e-3",
                                              "--out",
                                              at("post")});
    ASSERT_EQ(post.exit_code, 0) << post.errors;
    const CommandResult repaired =
        run_anamnesis({"restore", "--pre", at("pre"), "--post", at("post"), "--out", at("qk")});
    EXPECT_EQ(repaired.exit_code, 0) << repaired.errors;
    const CommandResult written = run_anamnesis(
        {"generate", "--model", at("qk"), "--prompt", "the dog", "--max-tokens", "4"});
    EXPECT_EQ(written.exit_code, 0) << written.errors;
    const CommandResult probed = run_anamnesis({"probe",
                                                "--model",
                                                at("pre"),
                                                "--model",
                                                at("qk"),
                                                "--lengths",
                                                "128",
                                                "--samples",
                                                "5",
                                                "--json"});
    ASSERT_EQ(probed.exit_code, 0) << probed.errors;
    const Json figures = Json::parse(probed.output);
    ASSERT_EQ(figures.at("models").as_array("models").size(), 2U);
    EXPECT_EQ(figures.at("models").as_array("models")[0].at("S3").at("128").at("samples"),
              Json(std::uint64_t{5}));
}

TEST(ASyntheticRun, IsRefusedWhereItMakesNoSense) {
    const TemporaryFolder folder;
    const std::string config = std::string(ANAMNESIS_SOURCE) + "/tools/demo_config.json";
    const auto train = [&](const std::string& task, const std::string& stages) {
        return run_anamnesis({"train",
                              "--init",
                              config,
                              "--data",
                              task,
                              "--stages",
                              stages,
                              "--out",
                              (folder.path() / "out").string()});
    };
    EXPECT_EQ(train("synthetic:poetry", "1x1x64").exit_code, 2);
    EXPECT_EQ(train("synthetic:mix", "1x64").exit_code, 2);
    EXPECT_EQ(train("synthetic:mix", "1x1x8").exit_code, 2);
    const fs::path texts = folder.write("texts.jsonl", "{\"text\": \"one two\"}\n");
    const CommandResult staged = train(texts.string(), "1x1x64");
    EXPECT_EQ(staged.exit_code, 2);
    EXPECT_NE(staged.errors.find("--stages belongs to"), std::string::npos) << staged.errors;
    const CommandResult empty = run_anamnesis(
        {"train", "--init", config, "--data", "synthetic:mix", "--lora", "", "--out", "x"});
    EXPECT_EQ(empty.exit_code, 2);
    EXPECT_NE(empty.errors.find("--lora: the value is empty"), std::string::npos) << empty.errors;
    const CommandResult twice =
        run_anamnesis({"train", "--init", config, "--lora", "r=2", "--lora", "r=4", "--out", "x"});
    EXPECT_EQ(twice.exit_code, 2);
    EXPECT_NE(twice.errors.find("--lora is given more than once"), std::string::npos)
        << twice.errors;
    const CommandResult beside = run_anamnesis({"train",
                                                "--init",
                                                config,
                                                "--data",
                                                texts.string(),
                                                "--data",
                                                "synthetic:mix",
                                                "--out",
                                                "x"});
    EXPECT_EQ(beside.exit_code, 2);
    EXPECT_NE(beside.errors.find("--data synthetic:mix"), std::string::npos) << beside.errors;
    const CommandResult good = train("synthetic:lookup", "1x1x64");
    EXPECT_EQ(good.exit_code, 0) << good.errors;
}

/// Numbers that no run can mean, and what is said of them.
TEST(ASyntheticRun, IsRefusedForNumbersThatMeanNothing) {
    const TemporaryFolder folder;
    const std::string config = std::string(ANAMNESIS_SOURCE) + "/tools/demo_config.json";
    const std::string out = (folder.path() / "out").string();
    struct Case {
        std::vector<std::string> words;
        std::string error;
    };
    for (const Case& one :
         {Case{{"--steps", "0"}, "--steps: the value is 0"},
          Case{{"--eval-every", "0"}, "--eval-every: the value is 0"},
          Case{{"--eval-every", "1", "--eval-lengths", "128,128"},
               "--eval-lengths names 128 twice"},
          Case{{"--betas", "0.9"}, "--betas takes 2 values, as 0.9,0.95; it got 1"},
          Case{{"--betas", "0.9,0.95,0.99"}, "--betas takes 2 values"},
          Case{{"--betas"}, "--betas needs a value"}}) {
        std::vector<std::string> words{"train",
                                       "--init",
                                       config,
                                       "--data",
                                       "synthetic:mix",
                                       "--stages",
                                       "1x1x64",
                                       "--out",
                                       out};
        words.insert(words.end(), one.words.begin(), one.words.end());
        const CommandResult result = run_anamnesis(words);
        EXPECT_EQ(result.exit_code, 2) << one.error;
        EXPECT_NE(result.errors.find(one.error), std::string::npos) << result.errors;
        EXPECT_FALSE(fs::exists(out)) << "a refused run leaves nothing";
    }
}

}  // namespace
}  // namespace anamnesis::testing
