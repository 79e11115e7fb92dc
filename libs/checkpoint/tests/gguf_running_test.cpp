// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "anamnesis/base/dtype.hpp"
#include "anamnesis/base/error.hpp"
#include "anamnesis/base/half.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/gguf.hpp"
#include "anamnesis/checkpoint/model.hpp"

#include "folder_snapshot.hpp"
#include "gguf_bytes.hpp"
#include "temporary_folder.hpp"

namespace anamnesis::checkpoint {
namespace {

namespace fs = std::filesystem;

std::vector<double> read_values(const TensorEntry& tensor) {
    std::vector<std::byte> bytes(tensor.bytes);
    tensor.read_at(0, bytes);
    std::vector<double> values(count_elements(tensor.dtype, bytes.size()));
    widen(tensor.dtype, bytes, values);
    return values;
}

/// The distance of two tensors relative to the second.
double find_distance(const TensorEntry& left, const TensorEntry& right) {
    const std::vector<double> a = read_values(left);
    const std::vector<double> b = read_values(right);
    EXPECT_EQ(a.size(), b.size()) << left.name;
    double difference = 0.0;
    double size = 0.0;
    for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
        difference += (a[i] - b[i]) * (a[i] - b[i]);
        size += b[i] * b[i];
    }
    return size == 0.0 ? std::sqrt(difference) : std::sqrt(difference / size);
}

/// Every tensor of the checkpoint that a GGUF file was made from lies where it does there, as near
/// as the file's types allow.
void expect_same_model(const fs::path& file, const fs::path& source, double distance) {
    const RecognisedCheckpoint view = view_for_running(Checkpoint::open(file));
    const Checkpoint original = Checkpoint::open(source);
    EXPECT_EQ(view.model.family, recognise(original).family);
    EXPECT_EQ(view.checkpoint.tensors().size(), original.tensors().size());
    for (const TensorEntry& tensor : original.tensors()) {
        const TensorEntry* viewed = view.checkpoint.find(tensor.name);
        ASSERT_NE(viewed, nullptr) << tensor.name;
        EXPECT_EQ(viewed->shape, tensor.shape) << tensor.name;
        EXPECT_LT(find_distance(*viewed, tensor), distance) << tensor.name;
    }
}

TEST(GgufForRunning, IsTheCheckpointThatTheFileWasMadeFrom) {
    const fs::path cases = fs::path(ANAMNESIS_SHARED) / "data/golden/surgery/gguf";
    if (!fs::exists(cases)) {
        GTEST_SKIP() << cases << " is not here";
    }
    expect_same_model(cases / "llama-q4_k_m/pre.gguf", cases / "llama-q4_k_m/pre_hf", 0.12);
    expect_same_model(cases / "qwen2-q4_0/pre.gguf", cases / "qwen2-q4_0/pre_hf", 0.15);
    expect_same_model(
        cases / "nemotron_h_moe-q5_0/pre.gguf", cases / "nemotron_h_moe-q5_0/pre_hf", 0.06);
    expect_same_model(cases / "kimi-linear-q8_0/pre.gguf", cases / "kimi-linear-q8_0/pre_hf", 0.02);
}

/// Files of plain values: every value is the checkpoint's, but for decays, which are logarithms of
/// exponentials, and gains, which are sums with one.
TEST(GgufForRunning, HasTheValuesOfTheCheckpointThatTheFileWasMadeFrom) {
    const fs::path testdata = ANAMNESIS_TESTDATA;
    for (const auto& [file, model] : {std::pair{"qwen35", "qwen3_5_odd"},
                                      std::pair{"qwen35moe", "qwen3_5_moe"},
                                      std::pair{"qwen3next", "qwen3_next_base"},
                                      std::pair{"kimi-linear", "kimi_linear_hub_config"},
                                      std::pair{"deepseek2-v2", "deepseek_v2_base"},
                                      std::pair{"deepseek2-v3", "deepseek_v3_base"},
                                      std::pair{"jamba", "jamba_hub_config"}}) {
        SCOPED_TRACE(file);
        expect_same_model(
            testdata / "gguf/running" / file / "model.gguf", testdata / "models" / model, 1e-6);
    }
    // Dense layers beside experts of another width.
    const fs::path nemotron = testdata / "lora/nemotron_h";
    expect_same_model(nemotron / "gguf/base.gguf", nemotron / "base", 1e-6);
}

/// A block fewer in the metadata would be another model in silence.
TEST(GgufForRunning, RefusesTensorsThatTheModelHasNoPlaceFor) {
    const testing::TemporaryFolder folder;
    std::string bytes =
        testing::read_file(fs::path(ANAMNESIS_TESTDATA) / "gguf/running/qwen3moe/model.gguf");
    const std::string key = "qwen3moe.block_count";
    const std::size_t value = bytes.find(key) + key.size() + 4;
    ASSERT_LT(value, bytes.size());
    ASSERT_EQ(bytes[value], 2);
    bytes[value] = 1;
    folder.write("model.gguf", bytes);
    try {
        view_for_running(Checkpoint::open(folder.path() / "model.gguf"));
        FAIL();
    } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::unsupported);
        EXPECT_THAT(error.message(), ::testing::HasSubstr("blk.1."));
    }
}

TEST(GgufForRunning, PutsTheHalvesOfHeadsBackInOrder) {
    const fs::path file = fs::path(ANAMNESIS_TESTDATA) / "gguf/surgery/mistral-split-bf16/pre.gguf";
    RecognisedCheckpoint stored;
    stored.checkpoint = Checkpoint::open(file);
    stored.model = recognise(stored.checkpoint);
    // There and back: the writer's own order of rows.
    const RecognisedCheckpoint view = view_for_running(stored.checkpoint);
    const RecognisedCheckpoint back = view_as_gguf(view, stored);
    int moved = 0;
    for (const char* part : {"q", "k"}) {
        const std::string letter = part;
        const TensorEntry& original = stored.checkpoint.at("blk.0.attn_" + letter + ".weight");
        EXPECT_EQ(read_values(back.checkpoint.at(original.name)), read_values(original));
        const auto& viewed =
            view.checkpoint.at("model.layers.0.self_attn." + letter + "_proj.weight");
        moved += read_values(viewed) != read_values(original) ? 1 : 0;
    }
    EXPECT_EQ(moved, 2);
}

TEST(GgufForRunning, TakesFusedTensorsApart) {
    const fs::path file = fs::path(ANAMNESIS_TESTDATA) / "gguf/surgery/qwen2-fused-q8_0/pre.gguf";
    const Checkpoint stored = Checkpoint::open(file);
    const RecognisedCheckpoint view = view_for_running(stored);
    const TensorEntry& fused = stored.at("blk.0.attn_qkv.weight");
    std::uint64_t rows = 0;
    for (const char* part : {"q", "k", "v"}) {
        const TensorEntry& tensor =
            view.checkpoint.at("model.layers.0.self_attn." + std::string(part) + "_proj.weight");
        EXPECT_EQ(tensor.dtype, DType::f32);
        EXPECT_TRUE(tensor.was_quantised);
        rows += tensor.rows();
    }
    EXPECT_EQ(rows, fused.rows());
}

/// A pre whose positions are stretched is no pre of a file whose are not.
TEST(GgufView, KeepsTheStretchOfPre) {
    const fs::path testdata = ANAMNESIS_TESTDATA;
    RecognisedCheckpoint post;
    post.checkpoint = Checkpoint::open(testdata / "gguf/running/qwen3next/model.gguf");
    post.model = recognise(post.checkpoint);
    const fs::path source = testdata / "models/qwen3_next_base";
    const auto find_meaning = [&](const char* scaling) {
        const testing::TemporaryFolder folder;
        fs::copy(source / "model.safetensors", folder.path() / "model.safetensors");
        Json config = Json::parse_python(testing::read_file(source / "config.json"));
        Json rope = config.at("rope_parameters");
        const Json changes = Json::parse(scaling);
        for (const auto& [key, value] : changes.as_object("changes")) {
            rope.set(key, value);
        }
        config.set("rope_parameters", rope);
        folder.write("config.json", config.dump());
        const RecognisedCheckpoint pre = open_recognised(folder.path());
        return view_as_gguf(pre, post).model.position.rope_meaning;
    };
    EXPECT_EQ(find_meaning("{}"), post.model.position.rope_meaning);
    EXPECT_NE(find_meaning(R"({"rope_type": "linear", "factor": 4.0})"),
              post.model.position.rope_meaning);
}

/// `key` of the file becomes `other`, of the same length.
fs::path write_with_other_key(const testing::TemporaryFolder& folder,
                              const std::string& key,
                              const std::string& other) {
    std::string bytes =
        testing::read_file(fs::path(ANAMNESIS_TESTDATA) / "gguf/running/qwen3moe/model.gguf");
    const std::size_t place = bytes.find(key);
    EXPECT_NE(place, std::string::npos) << key;
    EXPECT_EQ(key.size(), other.size());
    bytes.replace(place, key.size(), other);
    return folder.write("model.gguf", bytes);
}

TEST(GgufForRunning, AssumesNoEps) {
    const testing::TemporaryFolder folder;
    const fs::path file =
        write_with_other_key(folder, "layer_norm_rms_epsilon", "layer_norm_rms_epsilom");
    try {
        static_cast<void>(view_for_running(Checkpoint::open(file)));
        ADD_FAILURE() << "accepted";
    } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::malformed);
        EXPECT_THAT(error.message(), ::testing::HasSubstr("layer_norm_rms_epsilon"));
    }
}

/// Llama.cpp takes a factor without a type as linear; an old key has it under another name.
TEST(GgufForRunning, ScalesLinearlyWhereNoTypeIsNamed) {
    for (const char* key : {"llama.rope.scaling.factor", "llama.rope.scale_linear"}) {
        testing::GgufBytes bytes;
        bytes.key("general.architecture", "llama")
            .key("llama.block_count", 1U)
            .key("llama.embedding_length", 4U)
            .key("llama.attention.head_count", 1U)
            .key(key, 6, testing::GgufBytes::number(4.0F));
        const testing::TemporaryFolder folder;
        const fs::path file = folder.write("model.gguf", bytes.bytes());
        const Json config = make_gguf_config(*Checkpoint::open(file).gguf());
        EXPECT_EQ(config.at("rope_scaling").at("rope_type").as_string("type"), "linear") << key;
        EXPECT_EQ(config.at("rope_scaling").at("factor").as_double("factor"), 4.0) << key;
    }
}

/// A config of gpt-oss without a scaling would be YaRN.
TEST(GgufForRunning, ScalesNothingWhereGptOssStatesNoScaling) {
    const testing::TemporaryFolder folder;
    const auto find_type = [](const fs::path& file) {
        const Json config = make_running_config(Checkpoint::open(file));
        return config.at("rope_scaling").at("rope_type").as_string("type");
    };
    const fs::path scaled = fs::path(ANAMNESIS_TESTDATA) / "gguf/running/gpt-oss/model.gguf";
    EXPECT_EQ(find_type(scaled), "yarn");
    std::string bytes = testing::read_file(scaled);
    for (const std::string key : {"gpt-oss.rope.scaling.type", "gpt-oss.rope.scaling.factor"}) {
        const std::size_t place = bytes.find(key);
        ASSERT_NE(place, std::string::npos) << key;
        bytes[place + key.size() - 1] = '_';
    }
    EXPECT_EQ(find_type(folder.write("model.gguf", bytes)), "default");
}

TEST(GgufForRunning, RefusesArchitecturesThatDoNotRun) {
    testing::GgufBytes bytes;
    bytes.key("general.architecture", "plamo2");
    const testing::TemporaryFolder folder;
    const fs::path file = folder.write("model.gguf", bytes.key("plamo2.block_count", 2U).bytes());
    try {
        static_cast<void>(view_for_running(Checkpoint::open(file)));
        ADD_FAILURE() << "accepted";
    } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::unsupported);
        EXPECT_THAT(error.what(), ::testing::HasSubstr("plamo2"));
    }
}

}  // namespace
}  // namespace anamnesis::checkpoint
