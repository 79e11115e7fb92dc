// SPDX-License-Identifier: Apache-2.0
//
// LoRA adapters that lie in several files, against the same adapter in one.
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/formats/safetensors.hpp"
#include "anamnesis/io/file.hpp"

#include "run_command.hpp"
#include "temporary_folder.hpp"
#include "tensor_digests.hpp"
#include "tiny_model.hpp"

namespace anamnesis::testing {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;

const fs::path root = fs::path(ANAMNESIS_TESTDATA) / "lora/rslora";
constexpr const char* index_name = "adapter_model.safetensors.index.json";

CommandResult run(std::vector<std::string> words) {
    words.insert(words.begin(), ANAMNESIS_BINARY);
    return run_command(words);
}

std::string name_shard(std::size_t i) {
    return format("adapter_model-{:05}-of-00003.safetensors", i + 1);
}

/// The adapter of rslora in three files; q_proj and k_proj, all of which a repair takes, are the
/// second.
class ShardedAdapter : public ::testing::Test {
protected:
    ShardedAdapter() {
        fs::create_directory(adapter());
        fs::copy(root / "adapter/adapter_config.json", adapter() / "adapter_config.json");
        const auto whole =
            formats::SafetensorsFile::open(root / "adapter/adapter_model.safetensors");
        std::vector<std::vector<NamedBytes>> shards(3);
        Json map = Json::object();
        std::uint64_t bytes = 0;
        for (const formats::TensorInfo& tensor : whole.tensors()) {
            const bool is_taken = tensor.name.find("q_proj") != std::string::npos ||
                                  tensor.name.find("k_proj") != std::string::npos;
            // Pairs part: A in one file, B in another.
            const std::size_t shard = is_taken                                          ? 1
                                      : tensor.name.find("lora_A") != std::string::npos ? 0
                                                                                        : 2;
            shards[shard].push_back({.name = tensor.name,
                                     .dtype = "F32",
                                     .shape = {tensor.shape.begin(), tensor.shape.end()},
                                     .bytes = read_bytes(whole, tensor)});
            map.set(tensor.name, name_shard(shard));
            bytes += tensor.data.size();
        }
        for (std::size_t i = 0; i < shards.size(); ++i) {
            folder_.write(fs::path("adapter") / name_shard(i), make_safetensors(shards[i]));
        }
        const Json index = Json::Object{{"metadata", Json::Object{{"total_size", bytes}}},
                                        {"weight_map", std::move(map)}};
        folder_.write(fs::path("adapter") / index_name, index.dump(2));
    }

    fs::path adapter() const { return folder_.path() / "adapter"; }
    std::string out(const std::string& name) const { return (folder_.path() / name).string(); }

    CommandResult restore(const char* how, const fs::path& adapter, const std::string& target) {
        return run({"restore",
                    "--pre",
                    (root / "base").string(),
                    how,
                    adapter.string(),
                    "--out",
                    out(target)});
    }

    CommandResult verify(const char* how, const std::string& repaired) {
        return run({"verify",
                    "--quiet",
                    "--pre",
                    (root / "base").string(),
                    how,
                    adapter().string(),
                    "--repaired",
                    out(repaired)});
    }

    TemporaryFolder folder_;
};

TEST_F(ShardedAdapter, IsInspectedAsOne) {
    const auto inspect = [](const fs::path& path) {
        const CommandResult result =
            run({"inspect", path.string(), "--base", (root / "base").string(), "--json"});
        EXPECT_EQ(result.exit_code, 0) << result.errors;
        Json json = Json::parse(result.output);
        json.set("path", "");
        return json;
    };
    const Json whole = inspect(root / "adapter");
    EXPECT_EQ(inspect(adapter()).dump(), whole.dump());
    EXPECT_EQ(inspect(adapter() / name_shard(0)).dump(), whole.dump());
}

TEST_F(ShardedAdapter, IsRepairedShardByShard) {
    ASSERT_EQ(restore("--post", root / "adapter", "whole").exit_code, 0);
    const CommandResult result = restore("--post", adapter(), "repaired");
    ASSERT_EQ(result.exit_code, 0) << result.errors;
    // Nothing of the second is left.
    EXPECT_FALSE(fs::exists(fs::path(out("repaired")) / name_shard(1)));
    const Json index = Json::parse(io::read_text(fs::path(out("repaired")) / index_name));
    std::map<std::string, std::string> digests;
    std::uint64_t bytes = 0;
    for (const std::size_t i : {0, 2}) {
        const fs::path file = fs::path(out("repaired")) / name_shard(i);
        for (const auto& [name, digest] : tensor_digests(file)) {
            digests[name] = digest;
            EXPECT_EQ(index.at("weight_map").at(name).as_string("file"), name_shard(i));
        }
        bytes += checkpoint::Checkpoint::open(file).tensor_bytes();
    }
    EXPECT_EQ(index.at("weight_map").as_object("weight_map").size(), digests.size());
    EXPECT_EQ(index.at("metadata").at("total_size").as_unsigned("total_size"), bytes);
    EXPECT_EQ(digests, tensor_digests(fs::path(out("whole")) / "adapter_model.safetensors"));
    EXPECT_EQ(verify("--post", "repaired").exit_code, 0);
}

TEST_F(ShardedAdapter, IsMergedAsOne) {
    ASSERT_EQ(restore("--adapter", root / "adapter", "whole").exit_code, 0);
    const CommandResult result = restore("--adapter", adapter(), "merged");
    ASSERT_EQ(result.exit_code, 0) << result.errors;
    EXPECT_EQ(tensor_digests(out("merged")), tensor_digests(out("whole")));
    EXPECT_EQ(verify("--adapter", "merged").exit_code, 0);
}

TEST_F(ShardedAdapter, IsNotProvenWhereAByteDiffers) {
    ASSERT_EQ(restore("--post", adapter(), "repaired").exit_code, 0);
    const fs::path file = fs::path(out("repaired")) / name_shard(2);
    std::string bytes = io::read_text(file);
    bytes.back() = static_cast<char>(bytes.back() ^ 1);
    folder_.write(fs::path("repaired") / name_shard(2), bytes);
    EXPECT_EQ(verify("--post", "repaired").exit_code, 1);
}

TEST_F(ShardedAdapter, IsRefusedWhereAShardIsMissing) {
    fs::remove(adapter() / name_shard(2));
    const CommandResult result = restore("--post", adapter(), "refused");
    EXPECT_EQ(result.exit_code, 3);
    EXPECT_THAT(result.errors, AllOf(HasSubstr(name_shard(2)), HasSubstr("is missing")));
    fs::remove(adapter() / index_name);
    const CommandResult none = restore("--post", adapter(), "refused");
    EXPECT_EQ(none.exit_code, 3);
    EXPECT_THAT(none.errors, HasSubstr(index_name));
    EXPECT_FALSE(fs::exists(out("refused")));
}

}  // namespace
}  // namespace anamnesis::testing
