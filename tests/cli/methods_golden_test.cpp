// SPDX-License-Identifier: Apache-2.0
//
// QK-Pro, lerp and align through the real binary, on the matrices of testdata/pro written as
// checkpoints with a routing map of their own. bf16 results are known bit for bit.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "anamnesis/base/dtype.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/formats/safetensors.hpp"
#include "anamnesis/formats/safetensors_writer.hpp"

#include "folder_snapshot.hpp"
#include "run_command.hpp"
#include "temporary_folder.hpp"

namespace anamnesis::testing {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

const std::string query = "model.layers.0.self_attn.q_proj.weight";
const std::string key = "model.layers.0.self_attn.k_proj.weight";

std::string tensor_bytes(const fs::path& file, const std::string& name) {
    const auto opened = formats::SafetensorsFile::open(file);
    const auto* tensor = opened.find(name);
    if (tensor == nullptr) {
        throw std::out_of_range(name);
    }
    std::string bytes(tensor->data.size(), '\0');
    opened.file().read_at(opened.data_begin() + tensor->data.begin(),
                          std::as_writable_bytes(std::span(bytes)));
    return bytes;
}

class Methods : public ::testing::Test {
protected:
    /// The pair of one golden case as checkpoints, and a routing map for its heads.
    void make(const std::string& shape, const std::string& pairs, std::uint64_t rotary) {
        golden_ = fs::path(ANAMNESIS_TESTDATA) / "pro" / shape;
        const Json golden = Json::parse(read_file(golden_ / "case.json"));
        const std::uint64_t head_dim = golden.at("head_dim").as_unsigned("head_dim");
        const std::uint64_t query_heads = golden.at("query_heads").as_unsigned("query_heads");
        const std::uint64_t key_heads = golden.at("key_heads").as_unsigned("key_heads");
        const std::uint64_t hidden = golden.at("hidden").as_unsigned("hidden");
        const DType dtype = *find_dtype(golden.at("dtype").as_string("dtype"));
        for (const char* side : {"pre", "post"}) {
            const auto prologue = formats::make_safetensors_prologue(
                {{.name = query, .dtype = dtype, .shape = {query_heads * head_dim, hidden}},
                 {.name = key, .dtype = dtype, .shape = {key_heads * head_dim, hidden}}},
                {{"format", "pt"}});
            folder_.write(fs::path(side) / "model.safetensors",
                          prologue.bytes +
                              tensor_bytes(golden_ / "input.safetensors", format("W_Q.{}", side)) +
                              tensor_bytes(golden_ / "input.safetensors", format("W_K.{}", side)));
            folder_.write(fs::path(side) / "config.json", R"({"model_type": "golden"})");
        }
        folder_.write("routing.json",
                      format(R"({{"anamnesis_routing": 1, "family": "golden", "layers": 1,
  "softmax_layers": [0], "head_dim": {},
  "rotary": {{"pairs": "{}", "dimensions": {}}},
  "tensors": [
    {{"name": "model.layers.{{layer}}.self_attn.q_proj.weight", "group": "weight",
      "layout": [{{"role": "query", "rows": {}, "heads": {}}}]}},
    {{"name": "model.layers.{{layer}}.self_attn.k_proj.weight", "group": "weight",
      "layout": [{{"role": "key", "rows": {}, "heads": {}}}]}}]}})",
                             head_dim,
                             pairs,
                             rotary,
                             head_dim,
                             query_heads,
                             head_dim,
                             key_heads));
    }

    CommandResult restore(std::vector<std::string> options) {
        std::vector<std::string> arguments{ANAMNESIS_BINARY,
                                           "restore",
                                           "--pre",
                                           (folder_.path() / "pre").string(),
                                           "--post",
                                           (folder_.path() / "post").string(),
                                           "--routing",
                                           (folder_.path() / "routing.json").string()};
        arguments.insert(arguments.end(), options.begin(), options.end());
        return run_command(arguments);
    }

    std::string restored(const std::string& name, const std::string& tensor) {
        return tensor_bytes(folder_.path() / name / "model.safetensors", tensor);
    }

    TemporaryFolder folder_;
    fs::path golden_;
};

TEST_F(Methods, ProWritesOneFolderForEachLambdaBitForBit) {
    make("gqa_bf16", "none", 0);
    const auto result = restore({"--method",
                                 "pro",
                                 "--lambda-rel",
                                 "0.01,1,1000000",
                                 "--out",
                                 (folder_.path() / "out").string()});
    ASSERT_EQ(result.exit_code, 0) << result.errors;
    const std::vector<std::pair<std::string, std::string>> outputs{
        {"out-lambda-rel-0.01", "0.01"},
        {"out-lambda-rel-1", "1"},
        {"out-lambda-rel-1000000", "1e+06"}};
    for (const auto& [name, lambda] : outputs) {
        EXPECT_EQ(restored(name, query),
                  tensor_bytes(golden_ / "pro.gram.safetensors", "rounded." + lambda))
            << lambda;
        EXPECT_EQ(restored(name, key), tensor_bytes(golden_ / "input.safetensors", "W_K.pre"));
    }
}

TEST_F(Methods, ProDefaultsToLambdaOneOfTheGramMatrix) {
    make("gqa_bf16", "none", 0);
    ASSERT_EQ(restore({"--method", "pro", "--out", (folder_.path() / "out").string()}).exit_code,
              0);
    EXPECT_EQ(restored("out", query), tensor_bytes(golden_ / "pro.gram.safetensors", "rounded.1"));
}

TEST_F(Methods, ProWithTheRopeMetricFollowsTheRotaryPairs) {
    make("gqa_bf16", "half_split", 4);
    ASSERT_EQ(restore({"--method",
                       "pro",
                       "--metric",
                       "rope",
                       "--lambda-rel",
                       "0.1",
                       "--out",
                       (folder_.path() / "out").string()})
                  .exit_code,
              0);
    EXPECT_EQ(restored("out", query),
              tensor_bytes(golden_ / "pro.rope.safetensors", "rounded.0.1"));
}

TEST_F(Methods, ProWritesPatchesThatApply) {
    make("gqa_bf16", "none", 0);
    ASSERT_EQ(restore({"--method",
                       "pro",
                       "--lambda-rel",
                       "0.1,1",
                       "--patch",
                       (folder_.path() / "p.safetensors").string()})
                  .exit_code,
              0);
    const auto applied = run_command({ANAMNESIS_BINARY,
                                      "apply",
                                      (folder_.path() / "p-lambda-rel-0.1.safetensors").string(),
                                      "--to",
                                      (folder_.path() / "post").string(),
                                      "--out",
                                      (folder_.path() / "out").string()});
    ASSERT_EQ(applied.exit_code, 0) << applied.errors;
    EXPECT_EQ(restored("out", query),
              tensor_bytes(golden_ / "pro.gram.safetensors", "rounded.0.1"));
}

TEST_F(Methods, ProIsWithinOneUnitInFloat32) {
    make("mha_f32", "none", 0);
    ASSERT_EQ(restore({"--method", "pro", "--lambda-rel", "0.1", "--in-place"}).exit_code, 0);
    const std::string found = restored("post", query);
    const std::string wanted = tensor_bytes(golden_ / "pro.gram.safetensors", "rounded.0.1");
    ASSERT_EQ(found.size(), wanted.size());
    for (std::size_t i = 0; i < found.size(); i += 4) {
        std::int32_t left = 0;
        std::int32_t right = 0;
        std::memcpy(&left, found.data() + i, 4);
        std::memcpy(&right, wanted.data() + i, 4);
        ASSERT_LE(std::abs(left - right), 1) << "element " << i / 4;
    }
}

TEST_F(Methods, ProRefusesKeysThatHoldNaN) {
    make("gqa_bf16", "none", 0);
    const fs::path weights = folder_.path() / "pre" / "model.safetensors";
    std::string bytes = read_file(weights);
    bytes[bytes.size() - 1] = '\x7F';
    bytes[bytes.size() - 2] = '\xC1';
    std::ofstream(weights, std::ios::binary) << bytes;
    const auto refused = restore({"--method", "pro", "--out", (folder_.path() / "out").string()});
    EXPECT_EQ(refused.exit_code, 5) << refused.errors;
    EXPECT_THAT(refused.errors, HasSubstr("layer 0, key head 1"));
    EXPECT_FALSE(fs::exists(folder_.path() / "out"));
    const auto other =
        restore({"--method", "pro", "--heads", "0", "--out", (folder_.path() / "out").string()});
    EXPECT_EQ(other.exit_code, 0) << other.errors;
}

TEST_F(Methods, LerpBlendsBitForBit) {
    make("gqa_bf16", "none", 0);
    for (const std::string& alpha :
         {std::string("0"), std::string("0.25"), std::string("0.5"), std::string("1")}) {
        const std::string name = "out-" + alpha;
        const auto result = restore(
            {"--method", "lerp", "--alpha", alpha, "--out", (folder_.path() / name).string()});
        ASSERT_EQ(result.exit_code, 0) << result.errors;
        EXPECT_EQ(restored(name, query),
                  tensor_bytes(golden_ / "lerp.safetensors", format("W_Q.{}.rounded", alpha)));
        EXPECT_EQ(restored(name, key),
                  tensor_bytes(golden_ / "lerp.safetensors", format("W_K.{}.rounded", alpha)));
    }
}

TEST_F(Methods, AlignTurnsOntoPostsGauge) {
    make("gqa_bf16", "none", 0);
    const auto result = restore({"--method", "align", "--out", (folder_.path() / "out").string()});
    ASSERT_EQ(result.exit_code, 0) << result.errors;
    EXPECT_EQ(restored("out", query), tensor_bytes(golden_ / "align.safetensors", "W_Q.rounded"));
    EXPECT_EQ(restored("out", key), tensor_bytes(golden_ / "align.safetensors", "W_K.rounded"));
}

TEST_F(Methods, VerifySaysThatComputedRowsAreNotProvenByBytes) {
    make("gqa_bf16", "none", 0);
    ASSERT_EQ(restore({"--method", "pro", "--out", (folder_.path() / "out").string()}).exit_code,
              0);
    const auto verified = run_command({ANAMNESIS_BINARY,
                                       "verify",
                                       "--pre",
                                       (folder_.path() / "pre").string(),
                                       "--post",
                                       (folder_.path() / "post").string(),
                                       "--repaired",
                                       (folder_.path() / "out").string(),
                                       "--routing",
                                       (folder_.path() / "routing.json").string()});
    EXPECT_EQ(verified.exit_code, 0) << verified.output << verified.errors;
    EXPECT_THAT(verified.output, HasSubstr("64 rows hold values that --method pro computed"));
}

}  // namespace
}  // namespace anamnesis::testing
