// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/checkpoint/gguf.hpp"

#include "anamnesis/runtime/torch.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <ostream>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <gtest/gtest.h>

#include "anamnesis/base/dtype.hpp"
#include "anamnesis/base/half.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/finding.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/runtime/hybrid_model.hpp"
#include "anamnesis/runtime/network.hpp"

#include "golden.hpp"
#include "temporary_folder.hpp"
#include "tiny_model.hpp"

namespace anamnesis::runtime {
namespace {

namespace fs = std::filesystem;

/// The values of a tensor as the bytes of float32.
std::string read_f32(const checkpoint::TensorEntry& tensor) {
    std::vector<std::byte> bytes(tensor.bytes);
    tensor.read_at(0, bytes);
    std::vector<std::byte> wide(count_elements(tensor.dtype, bytes.size()) * sizeof(float));
    convert(tensor.dtype, bytes, DType::f32, wide);
    return {reinterpret_cast<const char*>(wide.data()), wide.size()};
}

/// A GGUF file as a checkpoint of float32 in safetensors.
void write_dequantised(const fs::path& file, const testing::TemporaryFolder& folder) {
    const auto view = checkpoint::view_for_running(checkpoint::Checkpoint::open(file));
    std::vector<testing::NamedBytes> tensors;
    for (const checkpoint::TensorEntry& tensor : view.checkpoint.tensors()) {
        tensors.push_back({.name = tensor.name,
                           .dtype = "F32",
                           .shape = {tensor.shape.begin(), tensor.shape.end()},
                           .bytes = read_f32(tensor)});
    }
    folder.write("model.safetensors", testing::make_safetensors(tensors));
    folder.write("config.json", view.checkpoint.config().dump(2));
}

at::Tensor find_logits(const fs::path& path) {
    const auto opened = checkpoint::Checkpoint::open(path);
    const Network network =
        load_network(opened, checkpoint::recognise(opened), {.dtype = DType::f32, .threads = 1});
    const at::NoGradGuard no_gradients;
    return network.logits(network.forward(at::arange(1, 40).unsqueeze(0)));
}

TEST(GgufWeights, GiveTheLogitsOfTheSameValuesInSafetensors) {
    for (const char* name : {"qwen2-fused-q8_0", "qwen3-q5_k_m"}) {
        SCOPED_TRACE(name);
        const fs::path file = fs::path(ANAMNESIS_TESTDATA) / "gguf/surgery" / name / "pre.gguf";
        const testing::TemporaryFolder folder;
        write_dequantised(file, folder);
        const at::Tensor expected = find_logits(folder.path());
        const at::Tensor logits = find_logits(file);
        EXPECT_LT((logits - expected).abs().max().item<double>(),
                  1e-6 * expected.abs().max().item<double>());
    }
}

/// A file and the checkpoint of safetensors that it was made from.
struct MadeFrom {
    std::string file;
    std::string model;
};

std::ostream& operator<<(std::ostream& stream, const MadeFrom& pair) {
    return stream << pair.file;
}

class GgufOfSafetensors : public ::testing::TestWithParam<MadeFrom> {};

INSTANTIATE_TEST_SUITE_P(Files,
                         GgufOfSafetensors,
                         ::testing::Values(MadeFrom{"qwen35", "qwen3_5_odd"},
                                           MadeFrom{"qwen35moe", "qwen3_5_moe"},
                                           MadeFrom{"qwen3next", "qwen3_next_base"},
                                           MadeFrom{"kimi-linear", "kimi_linear_hub_config"},
                                           MadeFrom{"deepseek2-v2", "deepseek_v2_base"},
                                           MadeFrom{"deepseek2-v3", "deepseek_v3_base"},
                                           MadeFrom{"gpt-oss", "gpt_oss_mxfp4"},
                                           MadeFrom{"jamba", "jamba_hub_config"}));

TEST_P(GgufOfSafetensors, GivesTheLogitsOfTheCheckpointThatItWasMadeFrom) {
    const fs::path testdata = ANAMNESIS_TESTDATA;
    const fs::path source = testdata / "models" / GetParam().model;
    const testing::TemporaryFolder folder;
    fs::copy(source / "model.safetensors", folder.path() / "model.safetensors");
    Json config = Json::parse_python(testing::read_text_file(source / "config.json"));
    // A file has one of DeepSeek's two slopes of YaRN, which are the same in published configs.
    if (const Json* rope = config.find("rope_parameters");
        rope != nullptr && rope->find("mscale_all_dim") != nullptr) {
        Json same = *rope;
        same.set("mscale", *rope->find("mscale_all_dim"));
        config.set("rope_parameters", std::move(same));
    }
    folder.write("config.json", config.dump(2));
    const at::Tensor expected = find_logits(folder.path());
    const at::Tensor logits =
        find_logits(testdata / "gguf/running" / GetParam().file / "model.gguf");
    EXPECT_LT((logits - expected).abs().max().item<double>(),
              1e-6 * expected.abs().max().item<double>());
}

/// |a - b| / |b| after a is scaled to be as near to b as it can be.
double find_distance_up_to_scale(const at::Tensor& a, const at::Tensor& b) {
    const double scale = ((a * b).sum() / a.square().sum()).item<double>();
    return ((a * scale - b).norm() / b.norm()).item<double>();
}

/// Multipliers are in the weights of a Falcon-H1 file, so that a tied head has the embedding's:
/// logits agree up to a scale, and 8 bits.
TEST(GgufWeights, OfFalconH1GiveTheLogitsOfTheCheckpointThatTheFileWasMadeFrom) {
    const fs::path folder = fs::path(ANAMNESIS_TESTDATA) / "gguf/running/falcon-h1";
    EXPECT_LT(
        find_distance_up_to_scale(find_logits(folder / "model.gguf"), find_logits(folder / "hf")),
        0.03);
}

/// Files of plain values against what the family's own library computes.
class GgufModel : public ::testing::TestWithParam<std::string> {};

std::vector<std::string> list_models() {
    std::vector<std::string> names;
    const fs::path folder = fs::path(ANAMNESIS_TESTDATA) / "gguf/running";
    for (const auto& entry : fs::directory_iterator(folder)) {
        if (fs::exists(entry.path() / "expected.safetensors")) {
            names.push_back(entry.path().filename().string());
        }
    }
    std::ranges::sort(names);
    return names;
}

INSTANTIATE_TEST_SUITE_P(Files,
                         GgufModel,
                         ::testing::ValuesIn(list_models()),
                         [](const auto& instance) {
                             std::string name = instance.param;
                             std::ranges::replace(name, '-', '_');
                             return name;
                         });

TEST_P(GgufModel, GivesTheLogitsOfTheReference) {
    const fs::path folder = fs::path(ANAMNESIS_TESTDATA) / "gguf/running" / GetParam();
    const testing::Tensors expected = testing::read_tensors(folder / "expected.safetensors");
    const auto view =
        checkpoint::view_for_running(checkpoint::Checkpoint::open(folder / "model.gguf"));
    for (const checkpoint::Finding& finding : view.findings()) {
        EXPECT_NE(finding.severity, checkpoint::Severity::error) << finding.sentence;
    }
    const Network network =
        load_network(view.checkpoint, view.model, {.dtype = DType::f32, .threads = 1});
    const at::NoGradGuard no_gradients;
    const at::Tensor logits = network.logits(network.forward(expected.at("input_ids")));
    EXPECT_TRUE(testing::is_near(logits, expected.at("logits"), 1e-5));
}

}  // namespace
}  // namespace anamnesis::runtime
