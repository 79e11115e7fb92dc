// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/checkpoint/checkpoint.hpp"

#include <cstddef>
#include <filesystem>
#include <string>
#include <utility>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "anamnesis/base/error.hpp"

#include "forged_checkpoint.hpp"
#include "temporary_folder.hpp"

namespace anamnesis::checkpoint {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::ElementsAre;
using testing::forge_safetensors;
using testing::forged_llama;
using testing::ForgedCheckpoint;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::TemporaryFolder;

std::string describe_failure(const fs::path& path, const OpenOptions& options = {}) {
    try {
        Checkpoint::open(path, options);
    } catch (const Error& error) {
        return std::string(to_string(error.kind())) + ": " + error.what();
    }
    return "no error";
}

TEST(Checkpoint, OpensASingleFileInAFolder) {
    const TemporaryFolder folder;
    const ForgedCheckpoint forged = forged_llama();
    forged.write(folder);
    const Checkpoint checkpoint = Checkpoint::open(folder.path());
    EXPECT_EQ(checkpoint.tensors().size(), forged.tensors.size());
    EXPECT_FALSE(checkpoint.is_single_file());
    EXPECT_FALSE(checkpoint.is_indexed());
    EXPECT_EQ(checkpoint.folder(), folder.path());
    EXPECT_THAT(list_sentences(checkpoint.findings()), IsEmpty());
    EXPECT_EQ(checkpoint.config().at("model_type").as_string("model_type"), "llama");
    const TensorEntry& tensor = checkpoint.at("model.layers.1.self_attn.k_proj.weight");
    EXPECT_EQ(tensor.rows(), 4U);
    EXPECT_EQ(tensor.row_bytes(), 16U);
    EXPECT_EQ(tensor.bytes, 64U);
    EXPECT_EQ(checkpoint.find("nothing"), nullptr);
    EXPECT_EQ(checkpoint.tensor_bytes(), 2 * checkpoint.parameter_count());
}

TEST(Checkpoint, ReadsTheConfigBesideASingleFileOfAnyName) {
    const TemporaryFolder folder;
    const ForgedCheckpoint forged = forged_llama();
    forged.write(folder);
    const std::string bytes = forge_safetensors(forged.tensors);
    const Checkpoint named = Checkpoint::open(folder.write("mine.safetensors", bytes));
    EXPECT_TRUE(named.is_single_file());
    EXPECT_EQ(named.config().at("model_type").as_string("model_type"), "llama");
    // That of an adapter's folder is the base's.
    EXPECT_TRUE(
        Checkpoint::open(folder.write("adapter_model.safetensors", bytes)).config().is_null());
}

TEST(Checkpoint, OpensShardsInOrderOfTheirBytes) {
    const TemporaryFolder folder;
    forged_llama().write_sharded(folder, 3);
    const Checkpoint checkpoint = Checkpoint::open(folder.path());
    EXPECT_TRUE(checkpoint.is_indexed());
    ASSERT_EQ(checkpoint.files().size(), 3U);
    EXPECT_THAT(list_sentences(checkpoint.findings()), IsEmpty());
    for (std::size_t i = 1; i < checkpoint.tensors().size(); ++i) {
        const TensorEntry& before = checkpoint.tensors()[i - 1];
        const TensorEntry& after = checkpoint.tensors()[i];
        EXPECT_LT(std::pair(before.file, before.offset), std::pair(after.file, after.offset));
    }
    for (const TensorEntry& tensor : checkpoint.tensors()) {
        EXPECT_EQ(checkpoint.find(tensor.name), &tensor);
    }
}

TEST(Checkpoint, NamesTheNearestTensor) {
    const TemporaryFolder folder;
    forged_llama().write(folder);
    const Checkpoint checkpoint = Checkpoint::open(folder.path());
    try {
        checkpoint.at("model.layers.1.self_attn.kproj.weight");
        FAIL();
    } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::not_found);
        EXPECT_THAT(error.message(), HasSubstr("'model.layers.1.self_attn.k_proj.weight'"));
    }
}

TEST(Checkpoint, FollowsLinksOutOfTheFolderAsTheHubCacheHasThem) {
    const TemporaryFolder blobs;
    const TemporaryFolder folder;
    forged_llama().write(blobs);
    fs::create_symlink(blobs.path() / "model.safetensors", folder.path() / "model.safetensors");
    fs::create_symlink(blobs.path() / "config.json", folder.path() / "config.json");
    EXPECT_EQ(Checkpoint::open(folder.path()).tensors().size(), 16U);
}

TEST(Checkpoint, NamesALinkThatLeadsNowhere) {
    const TemporaryFolder folder;
    fs::create_symlink("../blobs/gone", folder.path() / "model.safetensors");
    EXPECT_THAT(describe_failure(folder.path()),
                AllOf(HasSubstr("not found"), HasSubstr("model.safetensors"), HasSubstr("gone")));
}

TEST(Checkpoint, NamesAShardThatIsMissing) {
    const TemporaryFolder folder;
    forged_llama().write_sharded(folder, 2);
    fs::remove(folder.path() / "model-00002-of-00002.safetensors");
    EXPECT_THAT(describe_failure(folder.path()),
                AllOf(HasSubstr("not found"),
                      HasSubstr("model-00002-of-00002.safetensors"),
                      HasSubstr("8 tensors")));
}

TEST(Checkpoint, RefusesATensorInTwoShards) {
    const TemporaryFolder folder;
    const ForgedCheckpoint forged = forged_llama();
    forged.write_sharded(folder, 2);
    folder.write("model-00002-of-00002.safetensors",
                 forge_safetensors({forged.tensors[0], forged.tensors[1]}));
    EXPECT_THAT(describe_failure(folder.path()),
                AllOf(HasSubstr("malformed"),
                      HasSubstr("'model.embed_tokens.weight' is in two shards"),
                      HasSubstr("'model-00001-of-00002.safetensors' and")));
}

TEST(Checkpoint, FindsAnIndexEntryThatNoShardHas) {
    const TemporaryFolder folder;
    ForgedCheckpoint forged = forged_llama();
    forged.write_sharded(folder, 1);
    EXPECT_TRUE(Checkpoint::open(folder.path()).is_index_exact());
    forged.remove("model.norm.weight");
    folder.write("model-00001-of-00001.safetensors", forge_safetensors(forged.tensors));
    const Checkpoint checkpoint = Checkpoint::open(folder.path());
    EXPECT_FALSE(checkpoint.is_index_exact());
    EXPECT_THAT(list_sentences(checkpoint.findings()),
                ::testing::Contains(AllOf(HasSubstr("names a tensor that no shard has"),
                                          HasSubstr("'model.norm.weight'"))));
}

TEST(Checkpoint, RefusesAnIndexThatLeavesTheFolder) {
    const TemporaryFolder folder;
    folder.write("model.safetensors.index.json", R"({"weight_map": {"a": "../b.safetensors"}})");
    EXPECT_THAT(describe_failure(folder.path()),
                AllOf(HasSubstr("malformed"), HasSubstr("'../b.safetensors'")));
}

TEST(Checkpoint, RefusesAnIndexWithoutTensors) {
    const TemporaryFolder folder;
    folder.write("model.safetensors.index.json", R"({"weight_map": {}})");
    EXPECT_THAT(describe_failure(folder.path()),
                AllOf(HasSubstr("malformed"), HasSubstr("names no tensor")));
}

TEST(Checkpoint, WarnsOfFilesAndTensorsThatNoIndexNames) {
    const TemporaryFolder folder;
    ForgedCheckpoint forged = forged_llama();
    forged.write_sharded(folder, 1);
    forged.add("extra", {2});
    folder.write("model-00001-of-00001.safetensors", forge_safetensors(forged.tensors));
    folder.write("old.safetensors", forge_safetensors({{"a", {1}}}));
    EXPECT_THAT(
        list_sentences(Checkpoint::open(folder.path()).findings()),
        ElementsAre(HasSubstr("'old.safetensors'"), HasSubstr("'extra'"), HasSubstr("total_size")));
}

TEST(Checkpoint, PrefersTheSingleFileToAnIndexBesideIt) {
    const TemporaryFolder folder;
    forged_llama(3).write_sharded(folder, 2);
    forged_llama(2).write(folder);
    const Checkpoint checkpoint = Checkpoint::open(folder.path());
    EXPECT_EQ(checkpoint.files().size(), 1U);
    EXPECT_FALSE(checkpoint.is_indexed());
    EXPECT_THAT(list_sentences(checkpoint.findings()), ElementsAre(HasSubstr("index.json")));
}

TEST(Checkpoint, TakesAnotherNameForTheOnlyFile) {
    const TemporaryFolder folder;
    folder.write("weights.safetensors", forge_safetensors(forged_llama().tensors));
    EXPECT_THAT(list_sentences(Checkpoint::open(folder.path()).findings()),
                ElementsAre(HasSubstr("'weights.safetensors'")));
}

TEST(Checkpoint, TakesACompleteSetOfShardsWithoutAnIndex) {
    const TemporaryFolder folder;
    forged_llama().write_sharded(folder, 2);
    fs::remove(folder.path() / "model.safetensors.index.json");
    EXPECT_EQ(Checkpoint::open(folder.path()).files().size(), 2U);
    fs::remove(folder.path() / "model-00001-of-00002.safetensors");
    EXPECT_THAT(describe_failure(folder.path()),
                AllOf(HasSubstr("not found"), HasSubstr("index.json")));
}

TEST(Checkpoint, RefusesSeveralFilesThatAreNoShards) {
    const TemporaryFolder folder;
    folder.write("a.safetensors", forge_safetensors({{"a", {1}}}));
    folder.write("b.safetensors", forge_safetensors({{"b", {1}}}));
    EXPECT_THAT(describe_failure(folder.path()),
                AllOf(HasSubstr("not found"), HasSubstr("2 .safetensors files")));
}

TEST(Checkpoint, NamesWeightsInAnotherFormat) {
    for (const char* name : {"pytorch_model.bin", "model.onnx", "model.pt"}) {
        const TemporaryFolder folder;
        folder.write(name, "x");
        EXPECT_THAT(describe_failure(folder.path()),
                    AllOf(HasSubstr("unsupported"), HasSubstr(name)));
        EXPECT_THAT(describe_failure(folder.path() / name),
                    AllOf(HasSubstr("unsupported"), HasSubstr(name)));
    }
    const TemporaryFolder adapter;
    adapter.write("adapter_model.safetensors", forge_safetensors({{"a", {1}}}));
    EXPECT_THAT(describe_failure(adapter.path()),
                AllOf(HasSubstr("unsupported"), HasSubstr("adapter")));
}

TEST(Checkpoint, SaysWhatIsNotThere) {
    const TemporaryFolder folder;
    EXPECT_THAT(describe_failure(folder.path()),
                AllOf(HasSubstr("not found"), HasSubstr("has no weights")));
    EXPECT_THAT(describe_failure(folder.path() / "gone"),
                AllOf(HasSubstr("not found"), HasSubstr("gone")));
    forged_llama().write(folder);
    EXPECT_THAT(describe_failure(folder.path(), {.config = folder.path() / "other.json"}),
                AllOf(HasSubstr("not found"), HasSubstr("other.json")));
}

TEST(Checkpoint, UsesTheConfigBesideASingleFile) {
    const TemporaryFolder folder;
    const ForgedCheckpoint forged = forged_llama();
    forged.write(folder);
    folder.write("other.safetensors", forge_safetensors(forged.tensors));
    const Checkpoint own = Checkpoint::open(folder.path() / "model.safetensors");
    EXPECT_TRUE(own.is_single_file());
    EXPECT_FALSE(own.config().is_null());
    EXPECT_FALSE(Checkpoint::open(folder.path() / "other.safetensors").config().is_null());
    const Checkpoint told = Checkpoint::open(folder.path() / "other.safetensors",
                                             {.config = folder.path() / "config.json"});
    EXPECT_FALSE(told.config().is_null());
}

TEST(Checkpoint, RefusesAConfigThatIsNoObject) {
    const TemporaryFolder folder;
    forged_llama().write(folder);
    folder.write("config.json", "[1]");
    EXPECT_THAT(describe_failure(folder.path()),
                AllOf(HasSubstr("malformed"), HasSubstr("config.json")));
    folder.write("config.json", R"({"time_step_limit": [0.0, Infinity]})");
    EXPECT_EQ(describe_failure(folder.path()), "no error");
}

}  // namespace
}  // namespace anamnesis::checkpoint
