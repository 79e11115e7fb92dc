// SPDX-License-Identifier: Apache-2.0
#include <cstddef>
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

/// Five steps as PEFT took them, from its adapter.
struct TrainedAdapter : ::testing::TestWithParam<std::string> {
    TemporaryFolder folder;

    fs::path training() const { return fs::path(ANAMNESIS_TESTDATA) / "training"; }
    std::string base() const { return (training() / GetParam() / "initial").string(); }
    fs::path golden() const { return training() / "lora" / GetParam(); }
    std::string out() const { return (folder.path() / "out").string(); }

    std::vector<std::string> command(const std::string& lora) const {
        return {"train",
                "--model",
                base(),
                "--batches",
                (training() / GetParam() / "batches.safetensors").string(),
                "--steps",
                "5",
                "--lr",
                "2e-3",
                "--schedule",
                "constant",
                "--weight-decay",
                "0.1",
                "--clip",
                "1.0",
                "--lora",
                lora,
                "--out",
                out()};
    }
};

INSTANTIATE_TEST_SUITE_P(Models,
                         TrainedAdapter,
                         ::testing::Values("qwen3", "qwen3_5"),
                         [](const auto& instance) { return instance.param; });

TEST_P(TrainedAdapter, IsThatOfPeft) {
    const CommandResult result = run_anamnesis(command((golden() / "start").string()));
    ASSERT_EQ(result.exit_code, 0) << result.errors;
    const Json expected = Json::parse(io::read_text(golden() / "expected.json"));
    const Json::Array lines = read_metrics(out());
    ASSERT_EQ(lines.size(), 5U);
    for (std::size_t step = 0; step < lines.size(); ++step) {
        const double loss = expected.at("losses").as_array("losses")[step].as_double("loss");
        EXPECT_NEAR(lines[step].at("loss").as_double("loss"), loss, 2e-6 * loss);
    }
    expect_near_weights(
        fs::path(out()) / "adapter_model.safetensors", golden() / "final.safetensors", 1e-3);
    EXPECT_FALSE(fs::exists(fs::path(out()) / "model.safetensors"));
}

TEST_P(TrainedAdapter, IsInspectedRepairedMergedAndProven) {
    ASSERT_EQ(run_anamnesis(command("r=4,targets=q_proj,k_proj,v_proj,up_proj")).exit_code, 0);
    const CommandResult inspected = run_anamnesis({"inspect", out(), "--base", base()});
    EXPECT_EQ(inspected.exit_code, 0) << inspected.errors;
    const std::string repaired = (folder.path() / "repaired").string();
    const std::string merged = (folder.path() / "merged").string();
    for (const std::vector<std::string>& arguments : std::vector<std::vector<std::string>>{
             {"restore", "--pre", base(), "--post", out(), "--out", repaired},
             {"verify", "--pre", base(), "--post", out(), "--repaired", repaired},
             {"restore", "--pre", base(), "--adapter", out(), "--out", merged},
             {"verify", "--pre", base(), "--adapter", out(), "--repaired", merged}}) {
        const CommandResult result = run_anamnesis(arguments);
        EXPECT_EQ(result.exit_code, 0) << arguments.front() << ": " << result.errors;
    }
}

TEST_P(TrainedAdapter, IsRefusedByNameWhereNothingTakesIt) {
    const CommandResult refused = run_anamnesis(command("r=4,targets=c_attn"));
    EXPECT_EQ(refused.exit_code, 2);
    EXPECT_NE(refused.errors.find("'c_attn'"), std::string::npos) << refused.errors;
    EXPECT_FALSE(fs::exists(fs::path(out()) / "adapter_model.safetensors"));
}

}  // namespace
}  // namespace anamnesis::testing
