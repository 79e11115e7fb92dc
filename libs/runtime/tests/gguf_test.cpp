// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/checkpoint/gguf.hpp"

#include "anamnesis/runtime/torch.hpp"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <gtest/gtest.h>

#include "anamnesis/base/dtype.hpp"
#include "anamnesis/base/half.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/finding.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/runtime/hybrid_model.hpp"
#include "anamnesis/runtime/network.hpp"

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

/// |a - b| / |b| after a is scaled to be as near to b as it can be.
double find_distance_up_to_scale(const at::Tensor& a, const at::Tensor& b) {
    const double scale = ((a * b).sum() / a.square().sum()).item<double>();
    return ((a * scale - b).norm() / b.norm()).item<double>();
}

/// Files of hybrids against the checkpoints that llama.cpp's converter made them from. A tied head
/// of Falcon-H1 has the embedding's multiplier, so logits agree up to a scale.
TEST(GgufWeights, GiveTheLogitsOfTheCheckpointThatTheFileWasMadeFrom) {
    const fs::path cases = fs::path(ANAMNESIS_SHARED) / "data/golden/surgery/gguf";
    if (!fs::exists(cases)) {
        GTEST_SKIP() << cases << " is not here";
    }
    for (const auto& [name, bound] : {std::pair{"falcon-h1-q8_0", 0.03},
                                      std::pair{"nemotron_h_moe-q5_0", 0.3},
                                      std::pair{"llama-q4_k_m", 0.2},
                                      std::pair{"qwen2-q4_0", 0.4}}) {
        SCOPED_TRACE(name);
        const at::Tensor expected = find_logits(cases / name / "pre_hf");
        const at::Tensor logits = find_logits(cases / name / "pre.gguf");
        EXPECT_LT(find_distance_up_to_scale(logits, expected), bound);
    }
}

TEST(GgufWeights, OfEveryRunningArchitectureAreWhole) {
    const fs::path cases = fs::path(ANAMNESIS_SHARED) / "data/golden/surgery/gguf";
    if (!fs::exists(cases)) {
        GTEST_SKIP() << cases << " is not here";
    }
    for (const char* name : {"falcon-h1-q8_0",
                             "gemma3-q4_1",
                             "granitehybrid-q4_0",
                             "lfm2-q3_k_m",
                             "nemotron_h_moe-q5_0",
                             "phi3-q8_0"}) {
        SCOPED_TRACE(name);
        const auto view =
            checkpoint::view_for_running(checkpoint::Checkpoint::open(cases / name / "pre.gguf"));
        for (const checkpoint::Finding& finding : view.findings()) {
            EXPECT_NE(finding.severity, checkpoint::Severity::error) << finding.sentence;
        }
        const testing::TemporaryFolder folder;
        write_dequantised(cases / name / "pre.gguf", folder);
        const at::Tensor expected = find_logits(folder.path());
        const at::Tensor logits = find_logits(cases / name / "pre.gguf");
        EXPECT_TRUE(expected.isfinite().all().item<bool>());
        EXPECT_LT((logits - expected).abs().max().item<double>(),
                  1e-6 * expected.abs().max().item<double>());
    }
}

}  // namespace
}  // namespace anamnesis::runtime
