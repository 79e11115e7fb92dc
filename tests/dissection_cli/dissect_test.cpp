// SPDX-License-Identifier: Apache-2.0
//
// dissect, end to end: damage that is planted in one group of one layer is found there.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <functional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "anamnesis/base/dtype.hpp"
#include "anamnesis/base/half.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/random.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/io/file.hpp"

#include "demo_pair.hpp"
#include "json_schema.hpp"
#include "run_command.hpp"
#include "temporary_folder.hpp"

namespace anamnesis::testing {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

class Dissect : public ::testing::Test {
protected:
    Dissect() { write_demo_pair(folder_.path()); }

    CommandResult dissect(const std::vector<std::string>& options) const {
        const fs::path texts = fs::path(ANAMNESIS_TESTDATA) / "fit" / "moments";
        std::vector<std::string> arguments{ANAMNESIS_BINARY,
                                           "dissect",
                                           "--pre",
                                           (folder_.path() / "pre").string(),
                                           "--post",
                                           (folder_.path() / "post").string(),
                                           "--recall",
                                           (texts / "recall.jsonl").string(),
                                           "--reasoning",
                                           (texts / "chains.jsonl").string(),
                                           "--dtype",
                                           "f32",
                                           "--json"};
        arguments.insert(arguments.end(), options.begin(), options.end());
        return run_command(arguments);
    }

    /// Adds noise to one tensor of post, `size` times as large as its values.
    void damage(const std::string& name, std::uint64_t seed, double size) const {
        const auto post = checkpoint::Checkpoint::open(folder_.path() / "post");
        const checkpoint::TensorEntry& tensor = post.at(name);
        std::vector<std::byte> bytes(tensor.bytes);
        tensor.read_at(0, bytes);
        std::vector<double> values(count_elements(tensor.dtype, tensor.bytes));
        widen(tensor.dtype, bytes, values);
        double squares = 0.0;
        for (const double value : values) {
            squares += value * value;
        }
        const double scale = size * std::sqrt(squares / static_cast<double>(values.size()));
        Random random(seed);
        for (double& value : values) {
            value += scale * random.normal();
        }
        narrow(tensor.dtype, values, bytes);
        std::fstream file(folder_.path() / "post" / "model.safetensors",
                          std::ios::binary | std::ios::in | std::ios::out);
        file.seekp(static_cast<std::streamoff>(tensor.offset));
        file.write(reinterpret_cast<const char*>(bytes.data()),
                   static_cast<std::streamsize>(bytes.size()));
    }

    std::string at(const char* name) const { return (folder_.path() / name).string(); }

    TemporaryFolder folder_;
};

TEST_F(Dissect, NamesTheGroupInWhichDamageWasPlanted) {
    damage("model.layers.1.mlp.down_proj.weight", 1, 3.0);
    const CommandResult result = dissect({"--depth", "layer", "--out", at("out")});
    ASSERT_EQ(result.exit_code, 0) << result.errors;
    const Json json = Json::parse(result.output);
    EXPECT_EQ(json.at("carrier").as_string("carrier"), "mlp@1");
    EXPECT_THAT(find_deviations(json, read_schema("dissect")), IsEmpty());
    // Those that came further in the halving come first, however large a gain on fewer texts was.
    std::vector<std::pair<std::uint64_t, double>> order;
    for (const Json& one : json.at("candidates").as_array("candidates")) {
        order.emplace_back(one.at("texts").as_unsigned("texts"),
                           one.at("recall_gain").as_double("recall_gain"));
    }
    EXPECT_GT(order.front().first, order.back().first);
    EXPECT_TRUE(std::ranges::is_sorted(order, std::greater()));
    EXPECT_TRUE(fs::exists(folder_.path() / "out" / "report.html"));
    EXPECT_EQ(json.at("halves").at("candidates").as_string("half"), "choosing");
    EXPECT_EQ(json.at("halves").at("recall").as_string("half"), "telling");
    EXPECT_THAT(io::read_text(folder_.path() / "out" / "summary.md"),
                HasSubstr("by layer and group, on the half of the texts that chooses"));
    EXPECT_TRUE(fs::exists(folder_.path() / "out" / "summary.json"));
    const auto& commands = json.at("commands").as_array("commands");
    ASSERT_FALSE(commands.empty());
    EXPECT_THAT(commands.front().as_string("command"), HasSubstr("anamnesis restore --pre"));
    // No layer of the demo has a window, and none is shared.
    EXPECT_THAT(commands.front().as_string("command"), Not(HasSubstr("--include-")));
}

TEST_F(Dissect, FindsTheRoutingOfTheDemoAndABetterRepairThanQk) {
    const CommandResult result = dissect({"--out", at("out")});
    ASSERT_EQ(result.exit_code, 0) << result.errors;
    const Json json = Json::parse(result.output);
    const Json* qk = nullptr;
    const Json* fit = nullptr;
    for (const Json& method : json.at("methods").as_array("methods")) {
        const std::string name = method.at("name").as_string("name");
        qk = name == "qk" ? &method : qk;
        fit = name == "fit q,k 0.3" ? &method : fit;
    }
    ASSERT_NE(qk, nullptr);
    ASSERT_NE(fit, nullptr);
    EXPECT_GT(fit->at("worth").as_double("worth"), qk->at("worth").as_double("worth"));
    // A second run reads the answers of the first and says the same.
    const CommandResult again = dissect({"--out", at("out")});
    ASSERT_EQ(again.exit_code, 0) << again.errors;
    EXPECT_EQ(again.output, result.output);
}

TEST_F(Dissect, SaysThatSharesOfAFewTextsAreUncertain) {
    const fs::path texts = fs::path(ANAMNESIS_TESTDATA) / "fit" / "moments";
    std::ifstream file(texts / "recall.jsonl");
    std::string few;
    std::string line;
    for (int i = 0; i < 6 && std::getline(file, line); ++i) {
        few += line + "\n";
    }
    const fs::path recall = folder_.write("few.jsonl", few);
    const CommandResult result = run_command({ANAMNESIS_BINARY,
                                              "dissect",
                                              "--pre",
                                              at("pre"),
                                              "--post",
                                              at("post"),
                                              "--recall",
                                              recall.string(),
                                              "--reasoning",
                                              (texts / "chains.jsonl").string(),
                                              "--out",
                                              at("out"),
                                              "--json"});
    ASSERT_EQ(result.exit_code, 0) << result.errors;
    const std::string warnings = Json::parse(result.output).at("warnings").dump();
    EXPECT_THAT(warnings, HasSubstr("the figures are of 3 recall texts"));
    EXPECT_THAT(warnings, Not(HasSubstr("reasoning texts, and about as many")));
    EXPECT_THAT(io::read_text(folder_.path() / "out" / "summary.md"),
                HasSubstr("Warning: the figures are of 3 recall texts"));
}

TEST_F(Dissect, RefusesAFolderOfModelsThatRanInAnotherWay) {
    ASSERT_EQ(dissect({"--out", at("out")}).exit_code, 0);
    const CommandResult other = dissect({"--out", at("out"), "--attn-logits-scaling", "20"});
    EXPECT_EQ(other.exit_code, 6) << other.output;
    EXPECT_THAT(other.errors, HasSubstr("attn_logits_scaling"));
}

TEST_F(Dissect, RefusesAPairOfTheSameWeightsBeforeItAsksAnything) {
    fs::remove_all(folder_.path() / "post");
    fs::copy(folder_.path() / "pre", folder_.path() / "post");
    const CommandResult result = dissect({"--out", at("out")});
    EXPECT_EQ(result.exit_code, 6) << result.output;
    EXPECT_THAT(result.errors, HasSubstr("hold the same weights"));
    EXPECT_FALSE(fs::exists(folder_.path() / "out"));
}

TEST_F(Dissect, RefusesTextsAndFoldersThatDoNotFit) {
    const fs::path few = folder_.write("few.jsonl", "{\"input_ids\":[1,2],\"labels\":[-100,2]}\n");
    const fs::path other =
        folder_.write("other.jsonl", "{\"input_ids\":[1,3],\"labels\":[-100,3]}\n");
    const auto with = [&](const fs::path& reasoning) {
        return run_command({ANAMNESIS_BINARY,
                            "dissect",
                            "--pre",
                            at("pre"),
                            "--post",
                            at("post"),
                            "--recall",
                            few.string(),
                            "--reasoning",
                            reasoning.string(),
                            "--out",
                            at("out")});
    };
    const CommandResult result = with(other);
    EXPECT_EQ(result.exit_code, 6) << result.errors;
    EXPECT_THAT(result.errors, HasSubstr("at least 4"));
    const CommandResult same = with(few);
    EXPECT_EQ(same.exit_code, 2) << same.errors;
    EXPECT_THAT(same.errors, HasSubstr("are the same texts"));
}

}  // namespace
}  // namespace anamnesis::testing
