// SPDX-License-Identifier: Apache-2.0
//
// LoRA adapters merged and repaired through the real binary, against PEFT and float64 sums.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "anamnesis/base/dtype.hpp"
#include "anamnesis/base/half.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/formats/gguf.hpp"
#include "anamnesis/io/file.hpp"

#include "adapters.hpp"
#include "folder_snapshot.hpp"
#include "renamed_tensors.hpp"
#include "run_command.hpp"
#include "temporary_folder.hpp"
#include "tensor_digests.hpp"

namespace anamnesis::testing {
namespace {

using ::testing::AllOf;

using ::testing::HasSubstr;

using ::testing::Not;

TEST_F(Adapters, AreRepairedAndMergedAsExpected) {
    for (const char* name : {"rslora", "dora", "phi3_qkv", "nemotron_h", "only_qk"}) {
        check_case(own_cases / name);
    }
}

TEST_F(Adapters, OfTheSharedCasesAreRepairedAndMergedAsExpected) {
    if (!fs::exists(shared_cases)) {
        GTEST_SKIP() << shared_cases << " is absent; the cases of testdata/lora are tested";
    }
    for (const char* name : {"patterns",
                             "qwen3_5_gate",
                             "modules_to_save",
                             "lora_bias",
                             "regex_layers",
                             "gemma3_sliding"}) {
        check_case(shared_cases / name);
    }
}

/// The merged rows of pro are those of the repaired adapter merged, whatever the way.
TEST_F(Adapters, MergeUnderEveryMethodAsTheProofSays) {
    for (const char* name : {"rslora", "dora", "phi3_qkv"}) {
        for (const std::vector<std::string>& method :
             std::vector<std::vector<std::string>>{{"--method", "pro"},
                                                   {"--method", "lerp", "--alpha", "0.3"},
                                                   {"--method", "k", "--layers", "1"},
                                                   {"--heads", "0"},
                                                   {"--groups", "mlp"}}) {
            SCOPED_TRACE(name + method.back());
            const CommandResult merged = merge(own_cases / name, "method", method);
            ASSERT_EQ(merged.exit_code, 0) << merged.errors;
            EXPECT_EQ(verify(own_cases / name, "--adapter", "method").exit_code, 0);
            fs::remove_all(folder_.path() / "method");
        }
    }
}

TEST_F(Adapters, ThatAreMergedAreNotCalledRowsOfPreByADryRun) {
    const CommandResult result = merge(own_cases / "rslora", "merged", {"--dry-run"});
    ASSERT_EQ(result.exit_code, 0) << result.errors;
    EXPECT_THAT(result.output,
                AllOf(HasSubstr("rows that the adapter changes"), Not(HasSubstr("rows from pre"))));
}

TEST_F(Adapters, AreNotProvenWhereAByteDiffers) {
    const fs::path root = own_cases / "phi3_qkv";
    ASSERT_EQ(merge(root, "merged").exit_code, 0);
    ASSERT_EQ(repair(root, "repaired").exit_code, 0);
    const auto spoil = [&](const fs::path& file, const std::string& name, std::uint64_t row) {
        const auto opened = checkpoint::Checkpoint::open(file);
        const checkpoint::TensorEntry& tensor = opened.at(name);
        std::vector<std::byte> byte(1);
        tensor.read_at(row * tensor.row_bytes(), byte);
        byte[0] ^= std::byte{0x40};
        io::File::open_for_update(file).write_at(tensor.offset + row * tensor.row_bytes(), byte);
    };
    // A query row, which must be the base's, and a value row, which must be the sum.
    for (const std::uint64_t row : {0U, 63U}) {
        const std::string name = "model.layers.1.self_attn.qkv_proj.weight";
        spoil(folder_.path() / "merged/model.safetensors", name, row);
        const CommandResult result = verify(root, "--adapter", "merged");
        EXPECT_EQ(result.exit_code, 1);
        EXPECT_THAT(result.output, HasSubstr(name));
        spoil(folder_.path() / "merged/model.safetensors", name, row);
        EXPECT_EQ(verify(root, "--adapter", "merged").exit_code, 0);
    }
    const std::string b = "base_model.model.model.layers.1.self_attn.qkv_proj.lora_B.weight";
    spoil(folder_.path() / "repaired/adapter_model.safetensors", b, 0);
    const CommandResult result = verify(root, "--post", "repaired");
    EXPECT_EQ(result.exit_code, 1);
    EXPECT_THAT(result.output, HasSubstr(b));
}

TEST_F(Adapters, OfARunThatDivergedAreNotMerged) {
    const fs::path root = folder_.path() / "case";
    fs::copy(own_cases / "rslora", root, fs::copy_options::recursive);
    const fs::path weights = root / "adapter/adapter_model.safetensors";
    const std::string whole = read_file(weights);
    for (const char* factor : {"lora_A", "lora_B"}) {
        const std::string name =
            format("base_model.model.model.layers.0.mlp.down_proj.{}.weight", factor);
        const checkpoint::TensorEntry tensor = checkpoint::Checkpoint::open(weights).at(name);
        const std::vector<std::byte> ones(tensor.row_bytes(), std::byte{0xFF});
        io::File::open_for_update(weights).write_at(tensor.offset, ones);
        const CommandResult merged = merge(root, "merged");
        EXPECT_EQ(merged.exit_code, 9) << merged.output;
        EXPECT_THAT(merged.errors, AllOf(HasSubstr(name), HasSubstr("diverged")));
        EXPECT_FALSE(fs::exists(folder_.path() / "merged"));
        std::ofstream(weights, std::ios::binary) << whole;
    }
}

/// PEFT loads it: the head of its own replaces the one that is the embedding.
TEST(AdapterWithAHead, LeavesATiedBaseAsItIsAndIsNotMergedIntoIt) {
    const TemporaryFolder folder;
    const fs::path base = own_cases / "rslora/base";
    const fs::path adapter = folder.path() / "adapter";
    fs::copy(own_cases / "rslora/adapter", adapter);
    rename_tensors_of_file(adapter / "adapter_model.safetensors", [](const std::string& name) {
        const std::size_t at = name.find("model.layers.0.mlp.down_proj");
        return at == std::string::npos ? name
                                       : name.substr(0, at) + "lm_head" + name.substr(at + 28);
    });
    const std::vector<std::string> pre{"restore", "--pre", base.string()};
    const auto ask = [&](std::vector<std::string> words) {
        words.insert(words.begin(), pre.begin(), pre.end());
        return run(words);
    };
    const std::string out = (folder.path() / "out").string();
    const CommandResult repaired = ask({"--post", adapter.string(), "--out", out});
    EXPECT_EQ(repaired.exit_code, 0) << repaired.errors;
    const CommandResult merged =
        ask({"--adapter", adapter.string(), "--out", (folder.path() / "merged").string()});
    EXPECT_EQ(merged.exit_code, 6) << merged.output;
    EXPECT_THAT(merged.errors, HasSubstr("the head of the base is its embedding"));
}

}  // namespace
}  // namespace anamnesis::testing
