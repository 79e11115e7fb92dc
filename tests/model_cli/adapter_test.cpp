// SPDX-License-Identifier: Apache-2.0
//
// A base that is run with its LoRA adapter, against the checkpoint that 'restore' merges of them.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "anamnesis/base/json.hpp"
#include "anamnesis/formats/safetensors.hpp"
#include "anamnesis/io/file.hpp"

#include "folder_snapshot.hpp"
#include "run_command.hpp"
#include "temporary_folder.hpp"
#include "tiny_model.hpp"

namespace anamnesis::testing {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

const fs::path cases = fs::path(ANAMNESIS_TESTDATA) / "lora";

CommandResult run(std::vector<std::string> words) {
    words.insert(words.begin(), ANAMNESIS_BINARY);
    return run_command(words);
}

class AdapterRuns : public ::testing::Test {
protected:
    AdapterRuns() {
        std::vector<std::int64_t> ids;
        for (std::int64_t i = 0; i < 40; ++i) {
            ids.push_back(3 + i * 7 % 90);
        }
        std::string bytes(ids.size() * sizeof(std::int64_t), '\0');
        std::memcpy(bytes.data(), ids.data(), bytes.size());
        ids_ = folder_.write(
            "ids.safetensors",
            make_safetensors(
                {{.name = "input_ids", .dtype = "I64", .shape = {1, ids.size()}, .bytes = bytes}}));
    }

    std::vector<float> compute_logits(const std::vector<std::string>& model) {
        const fs::path out = folder_.path() / "logits.safetensors";
        std::vector<std::string> words{
            "logits", "--dtype", "f32", "--ids", ids_.string(), "--out", out.string()};
        words.insert(words.end(), model.begin(), model.end());
        const CommandResult result = run(words);
        EXPECT_EQ(result.exit_code, 0) << result.errors;
        if (result.exit_code != 0) {
            return {};
        }
        const auto file = formats::SafetensorsFile::open(out);
        const std::string data = read_bytes(file, *file.find("logits"));
        std::vector<float> values(data.size() / sizeof(float));
        std::memcpy(values.data(), data.data(), data.size());
        return values;
    }

    fs::path merge(const std::string& name, const std::vector<std::string>& how) {
        const fs::path out = folder_.path() / "merged";
        fs::remove_all(out);
        std::vector<std::string> words{"restore",
                                       "--pre",
                                       (cases / name / "base").string(),
                                       "--adapter",
                                       (cases / name / "adapter").string(),
                                       "--out",
                                       out.string()};
        words.insert(words.end(), how.begin(), how.end());
        const CommandResult result = run(words);
        EXPECT_EQ(result.exit_code, 0) << result.errors;
        return out;
    }

    TemporaryFolder folder_;
    fs::path ids_;
};

/// The largest distance, as a share of the largest value.
double find_distance(const std::vector<float>& a, const std::vector<float>& b) {
    if (a.size() != b.size() || a.empty()) {
        return INFINITY;
    }
    double distance = 0.0;
    double size = 0.0;
    for (std::size_t i = 0; i < a.size(); ++i) {
        distance = std::max(distance, std::abs(static_cast<double>(a[i]) - b[i]));
        size = std::max(size, std::abs(static_cast<double>(b[i])));
    }
    return distance / size;
}

TEST_F(AdapterRuns, GiveTheLogitsOfTheMergedCheckpoint) {
    for (const std::string name : {"rslora", "dora", "nemotron_h", "phi3_qkv"}) {
        SCOPED_TRACE(name);
        const std::string base = (cases / name / "base").string();
        const fs::path merged = merge(name, {"--method", "lerp", "--alpha", "0"});
        const auto expected = compute_logits({"--model", merged.string()});
        const auto logits =
            compute_logits({"--model", base, "--adapter", (cases / name / "adapter").string()});
        EXPECT_LT(find_distance(logits, expected), 1e-6);
        EXPECT_GT(find_distance(compute_logits({"--model", base}), expected), 1e-3);
    }
}

TEST_F(AdapterRuns, OfARepairedAdapterGiveTheLogitsOfTheMergedRepair) {
    const std::string base = (cases / "rslora/base").string();
    const std::string repaired = (folder_.path() / "repaired").string();
    const CommandResult result = run({"restore",
                                      "--pre",
                                      base,
                                      "--post",
                                      (cases / "rslora/adapter").string(),
                                      "--out",
                                      repaired});
    ASSERT_EQ(result.exit_code, 0) << result.errors;
    const auto expected = compute_logits({"--model", merge("rslora", {}).string()});
    const auto logits = compute_logits({"--model", base, "--adapter", repaired});
    EXPECT_LT(find_distance(logits, expected), 1e-6);
}

/// llama.cpp's converter carries lora_alpha alone.
TEST_F(AdapterRuns, OfGgufFilesAreThoseOfTheFilesThatTheyWereMadeFrom) {
    for (const std::string name : {"rslora", "nemotron_h"}) {
        SCOPED_TRACE(name);
        const fs::path adapter = folder_.path() / name;
        fs::copy(cases / name / "adapter", adapter);
        Json config = Json::parse(read_text_file(adapter / "adapter_config.json"));
        config.set("use_rslora", false);
        folder_.write(fs::path(name) / "adapter_config.json", config.dump(2));
        const std::string file = (cases / name / "gguf/base.gguf").string();
        const auto expected = compute_logits(
            {"--model", (cases / name / "base").string(), "--adapter", adapter.string()});
        for (const fs::path& either : {adapter, cases / name / "gguf/adapter.gguf"}) {
            const auto logits = compute_logits({"--model", file, "--adapter", either.string()});
            EXPECT_LT(find_distance(logits, expected), 2e-6) << either;
        }
        EXPECT_GT(find_distance(compute_logits({"--model", file}), expected), 1e-3);
    }
}

TEST_F(AdapterRuns, ThatDoNotFitAreRefused) {
    const std::string base = (cases / "rslora/base").string();
    const auto ask = [&](const std::vector<std::string>& adapters) {
        std::vector<std::string> words{"logits",
                                       "--model",
                                       base,
                                       "--ids",
                                       ids_.string(),
                                       "--out",
                                       (folder_.path() / "none").string()};
        for (const std::string& adapter : adapters) {
            words.insert(words.end(), {"--adapter", adapter});
        }
        return run(words);
    };
    const std::string adapter = (cases / "rslora/adapter").string();
    const CommandResult unmatched = ask({(cases / "unmatched/adapter").string()});
    EXPECT_EQ(unmatched.exit_code, 6) << unmatched.errors;
    EXPECT_THAT(unmatched.errors, HasSubstr("names a tensor of the base"));
    EXPECT_EQ(ask({adapter, adapter}).exit_code, 2);
    const CommandResult checkpoint = ask({base});
    EXPECT_EQ(checkpoint.exit_code, 3);
    EXPECT_THAT(checkpoint.errors, HasSubstr("it is no adapter of PEFT"));

    // A tensor that says nothing to any reader, by the last letter of its name.
    std::string bytes = read_file(cases / "rslora/gguf/adapter.gguf");
    const std::size_t at = bytes.find(".weight.lora_a");
    ASSERT_NE(at, std::string::npos);
    bytes[at + 13] = 'x';
    folder_.write("odd.gguf", bytes);
    const CommandResult odd = run({"logits",
                                   "--model",
                                   (cases / "rslora/gguf/base.gguf").string(),
                                   "--adapter",
                                   (folder_.path() / "odd.gguf").string(),
                                   "--ids",
                                   ids_.string(),
                                   "--out",
                                   (folder_.path() / "none").string()});
    EXPECT_EQ(odd.exit_code, 6) << odd.errors;
    EXPECT_THAT(odd.errors, HasSubstr("lora_x"));

    // What lies beside a whole file is a copy of somebody's.
    fs::copy(cases / "rslora/adapter", folder_.path() / "copied");
    fs::copy(cases / "rslora/adapter/adapter_model.safetensors",
             folder_.path() / "copied/adapter_model-backup.safetensors");
    EXPECT_EQ(run({"inspect", (folder_.path() / "copied").string()}).exit_code, 0);

    fs::copy(cases / "rslora/adapter", folder_.path() / "pissa");
    Json config = Json::parse(read_text_file(folder_.path() / "pissa/adapter_config.json"));
    config.set("init_lora_weights", "pissa");
    folder_.write("pissa/adapter_config.json", config.dump(2));
    const CommandResult pissa = ask({(folder_.path() / "pissa").string()});
    EXPECT_EQ(pissa.exit_code, 5) << pissa.errors;
    EXPECT_THAT(pissa.errors, HasSubstr("PiSSA"));
    EXPECT_FALSE(fs::exists(folder_.path() / "none"));
}

}  // namespace
}  // namespace anamnesis::testing
