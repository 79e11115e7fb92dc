// SPDX-License-Identifier: Apache-2.0
//
// restore --method fit within a LoRA adapter, end to end, against the fit of the merged checkpoint.
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/formats/safetensors.hpp"

#include "fit_command.hpp"
#include "run_command.hpp"
#include "tiny_model.hpp"

namespace anamnesis::testing {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

constexpr std::size_t rank = 4;
constexpr std::size_t hidden = 32;
constexpr double scale = 2.0;  // lora_alpha 8 of rank 4

std::vector<float> make_values(std::size_t count, std::uint32_t seed, float size) {
    std::vector<float> values;
    std::uint32_t state = seed * 747'796'405U + 1;
    for (std::size_t i = 0; i < count; ++i) {
        state = state * 1'664'525U + 1'013'904'223U;
        values.push_back(size * (static_cast<float>(state >> 8U) / 8'388'608.0F - 1.0F));
    }
    return values;
}

/// The bytes of every tensor of a checkpoint or adapter of one file, by name.
std::map<std::string, std::string> read_tensors(const fs::path& folder) {
    const fs::path of_adapter = folder / "adapter_model.safetensors";
    const auto file = formats::SafetensorsFile::open(
        fs::exists(of_adapter) ? of_adapter : folder / "model.safetensors");
    std::map<std::string, std::string> tensors;
    for (const formats::TensorInfo& tensor : file.tensors()) {
        tensors[tensor.name] = read_bytes(file, tensor);
    }
    return tensors;
}

std::vector<float> read_floats(const fs::path& folder, const std::string& name) {
    const std::string bytes = read_tensors(folder).at(name);
    std::vector<float> values(bytes.size() / sizeof(float));
    std::memcpy(values.data(), bytes.data(), bytes.size());
    return values;
}

/// A tiny base, and an adapter of W_Q, W_K and the feed-forward of its two layers.
class FitOfAdapter : public Fit {
protected:
    FitOfAdapter() {
        fs::copy(testdata_ / "training" / "qwen3" / "initial", pre_, fs::copy_options::recursive);
        fs::create_directory(adapter());
        config_ = Json::parse(
            read_file(testdata_ / "training" / "lora" / "qwen3" / "start" / "adapter_config.json"));
        Json targets = Json::array();
        for (const char* target : {"q_proj", "k_proj", "up_proj"}) {
            targets.push_back(target);
        }
        config_.set("target_modules", std::move(targets));
        for (std::uint32_t layer = 0; layer < 2; ++layer) {
            add(format("model.layers.{}.self_attn.q_proj", layer), 48, 10 + layer);
            add(format("model.layers.{}.self_attn.k_proj", layer), 24, 20 + layer);
            add(format("model.layers.{}.mlp.up_proj", layer), 56, 30 + layer);
        }
        write();
        std::string recall;
        std::string chains;
        for (std::uint32_t i = 0; i < 20; ++i) {
            recall += make_row(i, 40, 8);
            chains += make_row(100 + i, 24, 16);
        }
        recall_ = folder_.write("recall.jsonl", recall);
        chains_ = folder_.write("chains.jsonl", chains);
    }

    fs::path adapter() const { return folder_.path() / "adapter"; }

    void add(const std::string& module, std::size_t outputs, std::uint32_t seed) {
        const auto tensor = [&](const char* factor,
                                std::vector<std::uint64_t> shape,
                                const std::vector<float>& values) {
            std::string bytes(values.size() * sizeof(float), '\0');
            std::memcpy(bytes.data(), values.data(), bytes.size());
            tensors_.push_back({.name = "base_model.model." + module + factor,
                                .dtype = "F32",
                                .shape = std::move(shape),
                                .bytes = std::move(bytes)});
        };
        tensor(".lora_A.weight", {rank, hidden}, make_values(rank * hidden, seed, 0.3F));
        tensor(".lora_B.weight", {outputs, rank}, make_values(outputs * rank, seed + 1, 0.1F));
    }

    void write() {
        std::ofstream(adapter() / "adapter_config.json") << config_.dump(2);
        std::ofstream(adapter() / "adapter_model.safetensors", std::ios::binary)
            << make_safetensors(tensors_);
    }

    CommandResult fit(const std::vector<std::string>& options) {
        post_ = adapter();
        return restore(options);
    }

    Json config_{};
    std::vector<NamedBytes> tensors_{};
};

TEST_F(FitOfAdapter, IsTheFitOfTheMergedCheckpoint) {
    const CommandResult result = fit({"--groups", "q,mlp", "--mu", "0.5", "--out", out_.string()});
    ASSERT_EQ(result.exit_code, 0) << result.errors;
    const fs::path merged = folder_.path() / "merged";
    ASSERT_EQ(command({"restore",
                       "--pre",
                       pre_.string(),
                       "--adapter",
                       adapter().string(),
                       "--method",
                       "lerp",
                       "--alpha",
                       "0",
                       "--out",
                       merged.string()})
                  .exit_code,
              0);
    post_ = merged;
    const fs::path whole = folder_.path() / "whole";
    const CommandResult of_merged =
        restore({"--groups", "q,mlp", "--mu", "0.5", "--out", whole.string()});
    ASSERT_EQ(of_merged.exit_code, 0) << of_merged.errors;
    for (const char* module : {"model.layers.0.self_attn.q_proj",
                               "model.layers.1.self_attn.q_proj",
                               "model.layers.1.mlp.up_proj"}) {
        SCOPED_TRACE(module);
        const std::string prefix = std::string("base_model.model.") + module;
        const auto a = read_floats(out_, prefix + ".lora_A.weight");
        const auto b = read_floats(out_, prefix + ".lora_B.weight");
        const auto base = read_floats(pre_, std::string(module) + ".weight");
        const auto of_post = read_floats(merged, std::string(module) + ".weight");
        const auto expected = read_floats(whole, std::string(module) + ".weight");
        double above = 0.0;
        double below = 0.0;
        for (std::size_t i = 0; i < expected.size(); ++i) {
            double ours = base[i];
            for (std::size_t r = 0; r < rank; ++r) {
                ours += scale * static_cast<double>(b[i / hidden * rank + r]) *
                        static_cast<double>(a[r * hidden + i % hidden]);
            }
            above += std::pow(ours - expected[i], 2);
            below += std::pow(static_cast<double>(expected[i]) - of_post[i], 2);
        }
        EXPECT_GT(below, 0.0);
        EXPECT_LE(std::sqrt(above / below), 1e-4);
    }
}

TEST_F(FitOfAdapter, ChangesAAloneAndStoredMomentsProveIt) {
    const fs::path moments = folder_.path() / "moments";
    const CommandResult result =
        fit({"--mu", "0.3", "--out", out_.string(), "--moments", moments.string()});
    ASSERT_EQ(result.exit_code, 0) << result.errors;
    const auto before = read_tensors(adapter());
    const auto after = read_tensors(out_);
    ASSERT_EQ(before.size(), after.size());
    for (const auto& [name, digest] : after) {
        const bool is_fitted =
            name.ends_with("lora_A.weight") && name.find("self_attn") != std::string::npos;
        EXPECT_EQ(digest == before.at(name), !is_fitted) << name;
    }
    EXPECT_EQ(read_file(out_ / "adapter_config.json"),
              read_file(adapter() / "adapter_config.json"));
    const CommandResult proof = verify(out_, {"--moments", moments.string()});
    ASSERT_EQ(proof.exit_code, 0) << proof.output << proof.errors;
    EXPECT_EQ(Json::parse(proof.output).at("rows_recomputed").as_unsigned("rows"), 4 * rank);
    const fs::path again = folder_.path() / "again";
    ASSERT_EQ(command({"restore",
                       "--pre",
                       pre_.string(),
                       "--post",
                       adapter().string(),
                       "--method",
                       "fit",
                       "--mu",
                       "0.3",
                       "--moments",
                       moments.string(),
                       "--out",
                       again.string()})
                  .exit_code,
              0);
    EXPECT_EQ(read_tensors(again), after);
    // Another strength is not what the receipt says.
    const fs::path other = folder_.path() / "other";
    ASSERT_EQ(fit({"--mu", "1", "--out", other.string()}).exit_code, 0);
    fs::copy_file(
        out_ / "anamnesis.json", other / "anamnesis.json", fs::copy_options::overwrite_existing);
    const CommandResult refuted = verify(other, {"--moments", moments.string()});
    EXPECT_EQ(refuted.exit_code, 1) << refuted.output;
    EXPECT_THAT(refuted.output, HasSubstr("are not what this repair makes of them"));
}

TEST_F(FitOfAdapter, LimitsAreTheBaseAndTheAdapter) {
    ASSERT_EQ(fit({"--mu", "0,inf", "--out", out_.string()}).exit_code, 0);
    EXPECT_EQ(read_tensors(folder_.path() / "out-mu-inf"), read_tensors(adapter()));
    const fs::path zero = folder_.path() / "out-mu-0";
    for (const float value :
         read_floats(zero, "base_model.model.model.layers.1.self_attn.k_proj.lora_A.weight")) {
        EXPECT_EQ(value, 0.0F);
    }
}

TEST_F(FitOfAdapter, ChoosesMuAndRaisesChainsWithItsFactors) {
    const CommandResult result =
        fit({"--mu", "auto", "--rounds", "1", "--out", out_.string(), "--json"});
    ASSERT_EQ(result.exit_code, 0) << result.errors;
    const Json receipt = Json::parse(read_file(out_ / "anamnesis.json"));
    const Json& chosen = receipt.at("request").at("fit");
    EXPECT_EQ(chosen.at("calibration").at("auto").at("chosen").as_double("chosen"),
              chosen.at("mu").as_array("mu").front().as_double("mu"));
    EXPECT_EQ(chosen.at("rounds").as_unsigned("rounds"), 1U);
}

TEST_F(FitOfAdapter, RefusesByNameWhatItsFactorsCannotHold) {
    const auto expect_refusal = [&](const std::vector<std::string>& options, const char* text) {
        std::vector<std::string> all = options;
        all.insert(all.end(), {"--out", out_.string()});
        const CommandResult result = fit(all);
        EXPECT_EQ(result.exit_code, 5) << result.errors;
        EXPECT_THAT(result.errors, HasSubstr(text));
        EXPECT_FALSE(fs::exists(out_));
    };
    expect_refusal({"--heads", "1"}, "its one factor A serves rows that are not all fitted");
    chains_ = "own";
    expect_refusal({"--questions", recall_.string()}, "an adapter writes no chains");
    chains_ = folder_.path() / "chains.jsonl";
    config_.set("use_dora", true);
    const std::vector<NamedBytes> factors = tensors_;
    for (const NamedBytes& factor : factors) {
        constexpr std::string_view suffix = "lora_B.weight";
        if (factor.name.ends_with(suffix)) {
            tensors_.push_back({.name = factor.name.substr(0, factor.name.size() - suffix.size()) +
                                        "lora_magnitude_vector",
                                .dtype = "F32",
                                .shape = {factor.shape[0]},
                                .bytes = std::string(factor.shape[0] * sizeof(float), '\1')});
        }
    }
    write();
    expect_refusal({}, "it is DoRA");
}

}  // namespace
}  // namespace anamnesis::testing
