// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "anamnesis/base/json.hpp"
#include "anamnesis/formats/safetensors.hpp"
#include "anamnesis/io/file.hpp"

#include "run_command.hpp"
#include "temporary_folder.hpp"
#include "tiny_model.hpp"

namespace anamnesis::testing {
namespace {

namespace fs = std::filesystem;

/// The model after a fine-tune of its queries: every W_Q of every layer shrunk.
void write_tuned_model(const TemporaryFolder& from, const TemporaryFolder& to) {
    for (const auto& entry : fs::directory_iterator(from.path())) {
        if (entry.is_regular_file()) {
            fs::copy_file(entry.path(), to.path() / entry.path().filename());
        }
    }
    const auto file = formats::SafetensorsFile::open(from.path() / "model.safetensors");
    std::vector<NamedBytes> tensors;
    for (const formats::TensorInfo& tensor : file.tensors()) {
        NamedBytes copy{.name = tensor.name,
                        .dtype = "F32",
                        .shape = {tensor.shape.begin(), tensor.shape.end()},
                        .bytes = read_bytes(file, tensor)};
        if (copy.name.find("k_norm") != std::string::npos ||
            copy.name.find("q_proj") != std::string::npos) {
            std::vector<float> values(copy.bytes.size() / sizeof(float));
            std::memcpy(values.data(), copy.bytes.data(), copy.bytes.size());
            for (std::size_t i = 0; i < values.size(); ++i) {
                values[i] *= i % 2 == 0 ? 0.1F : 0.4F;
            }
            std::memcpy(copy.bytes.data(), values.data(), copy.bytes.size());
        }
        tensors.push_back(std::move(copy));
    }
    to.write("model.safetensors", make_safetensors(tensors));
}

class Attention : public ::testing::Test {
protected:
    Attention() {
        write_tiny_model(pre_, "qwen3_base");
        write_tuned_model(pre_, post_);
        texts_ = out_.write("texts.jsonl",
                            "{\"text\": \"the needle lies in the haystack, and the haystack lies "
                            "in the field\"}\n{\"text\": \"one two three four five six seven\"}\n");
        // A prompt that is nearly all needle: some head's strongest key lies in it.
        needles_ = out_.write(
            "needles.jsonl",
            R"({"index": 0, "input": "aaaaaaaaaaaabababab", "outputs": ["aaaaaaaaaaaabababab"], "length": 64})"
            "\n");
    }

    CommandResult run(std::vector<std::string> arguments, const std::string& out = "out") {
        std::vector<std::string> all{ANAMNESIS_BINARY,
                                     "attention",
                                     "--out",
                                     (out_.path() / out).string(),
                                     "--json",
                                     "--quiet"};
        all.insert(all.end(), arguments.begin(), arguments.end());
        return run_command(all);
    }

    std::string model(const std::string& name) const {
        return name + "=" + (name == "pre" ? pre_ : post_).path().string();
    }

    TemporaryFolder pre_;
    TemporaryFolder post_;
    TemporaryFolder out_;
    fs::path texts_;
    fs::path needles_;
};

TEST_F(Attention, TellsWhatAFineTuneChanged) {
    const CommandResult result = run({"--model",
                                      model("pre"),
                                      "--model",
                                      model("post"),
                                      "--model",
                                      "copy=" + pre_.path().string(),
                                      "--prompts",
                                      texts_.string(),
                                      "--beyond",
                                      "4,8"});
    ASSERT_EQ(result.exit_code, 0) << result.errors;
    const Json json = Json::parse(result.output);
    const Json& checkpoints = json.at("checkpoints");
    EXPECT_EQ(checkpoints.at("pre"), checkpoints.at("copy"));
    EXPECT_NE(checkpoints.at("pre"), checkpoints.at("post"));
    // The third is as the first, so it undoes what the second did.
    double moved = 0.0;
    const Json::Array& changes = json.at("changes").as_array("changes");
    const std::size_t half = changes.size() / 2;
    ASSERT_GT(half, 0U);
    for (std::size_t i = 0; i < half; ++i) {
        EXPECT_EQ(changes[i].at("second").as_string("name"), "post");
        EXPECT_EQ(changes[half + i].at("second").as_string("name"), "copy");
        const double there = changes[i].at("difference").as_double("change");
        moved += std::abs(there);
        EXPECT_NEAR(there, -changes[half + i].at("difference").as_double("change"), 1e-12);
    }
    EXPECT_GT(moved, 0.1);
    // Texts without a needle have no needle measures.
    for (const auto& [layer, measures] : checkpoints.at("pre").at("layers").as_object("layers")) {
        EXPECT_EQ(measures.find("retrieval"), nullptr);
        EXPECT_NE(measures.find("share_beyond_8"), nullptr);
    }
    const std::string page = io::read_text(out_.path() / "out/report.html", 1U << 24U);
    EXPECT_NE(page.find("mean attention distance"), std::string::npos);
    EXPECT_NE(page.find("post minus pre"), std::string::npos);
}

TEST_F(Attention, ReadsNeedlePromptsThatItMakes) {
    const CommandResult result = run({"--model",
                                      model("pre"),
                                      "--niah",
                                      "--tasks",
                                      "s1",
                                      "--lengths",
                                      "700",
                                      "--samples",
                                      "2",
                                      "--tokens-to-generate",
                                      "16"});
    ASSERT_EQ(result.exit_code, 0) << result.errors;
    const Json json = Json::parse(result.output);
    EXPECT_EQ(json.at("texts").as_unsigned("texts"), 2U);
    for (const auto& [layer, measures] :
         json.at("checkpoints").at("pre").at("layers").as_object("layers")) {
        for (const Json& mass : measures.at("needle_mass").as_array("heads")) {
            EXPECT_GT(mass.as_double("mass"), 0.0);
            EXPECT_LT(mass.as_double("mass"), 1.0);
        }
    }
    // Without keys so far back there is no share of them.
    EXPECT_EQ(result.output.find("share_beyond_16384"), std::string::npos);
    const CommandResult own = run({"--model",
                                   model("pre"),
                                   "--niah",
                                   "--tasks",
                                   "s1",
                                   "--lengths",
                                   "700",
                                   "--samples",
                                   "1",
                                   "--tokens-to-generate",
                                   "16",
                                   "--own-answers"},
                                  "own");
    ASSERT_EQ(own.exit_code, 0) << own.errors;
    EXPECT_EQ(Json::parse(own.output)
                  .at("checkpoints")
                  .at("pre")
                  .at("answered")
                  .as_double("a random model does not find the needle"),
              0.0);
}

TEST_F(Attention, RefusesOwnAnswersOfAnotherLengthInTheSameFolder) {
    const auto look = [&](const char* name, const char* tokens) {
        return run({"--model",
                    model(name),
                    "--prompts",
                    needles_.string(),
                    "--tokens-to-generate",
                    tokens,
                    "--own-answers"},
                   "own");
    };
    const CommandResult first = look("pre", "4");
    ASSERT_EQ(first.exit_code, 0) << first.errors;
    const CommandResult other = look("post", "8");
    EXPECT_EQ(other.exit_code, 6) << other.output;
}

TEST_F(Attention, WritesALayerListThatRestoreTakes) {
    const CommandResult result = run({"--model",
                                      model("pre"),
                                      "--prompts",
                                      needles_.string(),
                                      "--select-layers",
                                      "retrieval",
                                      "--select-count",
                                      "1"});
    ASSERT_EQ(result.exit_code, 0) << result.errors;
    const Json json = Json::parse(result.output);
    const std::string layers = io::read_text(out_.path() / "out/layers.txt");
    EXPECT_EQ(layers, json.at("selected_layers").as_string("layers") + "\n");
    // It is the layer of the best head.
    double best = -1.0;
    std::string best_layer;
    for (const auto& [layer, measures] :
         json.at("checkpoints").at("pre").at("layers").as_object("layers")) {
        for (const Json& score : measures.at("retrieval").as_array("heads")) {
            if (score.as_double("score") > best) {
                best = score.as_double("score");
                best_layer = layer;
            }
        }
    }
    EXPECT_GT(best, 0.0);
    EXPECT_EQ(layers, best_layer + "\n");
    const CommandResult restored = run_command({ANAMNESIS_BINARY,
                                                "restore",
                                                "--pre",
                                                pre_.path().string(),
                                                "--post",
                                                post_.path().string(),
                                                "--layers",
                                                best_layer,
                                                "--out",
                                                (out_.path() / "repaired").string()});
    EXPECT_EQ(restored.exit_code, 0) << restored.errors;
}

TEST_F(Attention, RefusesAChoiceWithoutGround) {
    const CommandResult result = run(
        {"--model", model("pre"), "--prompts", texts_.string(), "--select-layers", "retrieval"});
    EXPECT_EQ(result.exit_code, 6);
    EXPECT_NE(result.errors.find("needle"), std::string::npos) << result.errors;
    EXPECT_EQ(run({"--model", model("pre")}).exit_code, 2);
    EXPECT_EQ(
        run({"--model", model("pre"), "--prompts", texts_.string(), "--lengths", "4k"}).exit_code,
        2);
}

}  // namespace
}  // namespace anamnesis::testing
