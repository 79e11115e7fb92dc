// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "anamnesis/runtime/torch.hpp"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include <ATen/ops/empty.h>
#include <gtest/gtest.h>

#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/runtime/model_spec.hpp"
#include "anamnesis/runtime/network.hpp"

namespace anamnesis::testing {

using Tensors = std::map<std::string, at::Tensor>;

/// Every tensor of a safetensors file.
inline Tensors read_tensors(const std::filesystem::path& path) {
    const auto file = checkpoint::Checkpoint::open(path);
    Tensors tensors;
    for (const checkpoint::TensorEntry& entry : file.tensors()) {
        const std::vector<std::int64_t> sizes(entry.shape.begin(), entry.shape.end());
        at::Tensor tensor = at::empty(sizes, runtime::to_scalar_type(entry.dtype));
        entry.read_at(0, {static_cast<std::byte*>(tensor.mutable_data_ptr()), entry.bytes});
        tensors.emplace(entry.name, tensor);
    }
    return tensors;
}

inline std::filesystem::path golden_model(const std::string& name) {
    return std::filesystem::path(ANAMNESIS_TESTDATA) / "models" / name;
}

inline runtime::ModelSpec golden_spec(const std::string& name) {
    const auto files = checkpoint::Checkpoint::open(golden_model(name));
    return runtime::describe(files, checkpoint::recognise(files));
}

inline runtime::Network golden_network(const std::string& name,
                                       const runtime::NetworkOptions& options = {}) {
    const auto files = checkpoint::Checkpoint::open(golden_model(name));
    return runtime::Network::load(
        files, runtime::describe(files, checkpoint::recognise(files)), options);
}

/// |actual - expected| / |expected|, both as root mean squares.
inline double relative_rms(const at::Tensor& actual, const at::Tensor& expected) {
    const at::Tensor exact = expected.to(at::kDouble);
    const double size = exact.square().mean().item<double>();
    const double error = (actual.to(at::kDouble) - exact).square().mean().item<double>();
    return size > 0.0 ? std::sqrt(error / size) : std::sqrt(error);
}

inline ::testing::AssertionResult is_near(const at::Tensor& actual,
                                          const at::Tensor& expected,
                                          double tolerance) {
    if (actual.sizes() != expected.sizes()) {
        return ::testing::AssertionFailure() << "other shape";
    }
    const double error = relative_rms(actual, expected);
    // Written so that NaN fails.
    if (error <= tolerance) {
        return ::testing::AssertionSuccess();
    }
    return ::testing::AssertionFailure()
           << "relative RMS " << error << ", at most " << tolerance << " allowed";
}

/// Every golden model.
inline const std::vector<std::string>& golden_models() {
    static const std::vector<std::string> names{"hypenet_base",
                                                "hypenet_rope_attn",
                                                "hypenet_scaled",
                                                "jet_base",
                                                "jet_other",
                                                "olmo_hybrid_base",
                                                "qwen2_5_base",
                                                "qwen2_5_sliding",
                                                "qwen3_5_base",
                                                "qwen3_5_moe",
                                                "qwen3_5_multimodal_wrapper",
                                                "qwen3_5_odd",
                                                "qwen3_5_resaved_text",
                                                "qwen3_base",
                                                "qwen3_next_base",
                                                "qwen3_next_odd"};
    return names;
}

}  // namespace anamnesis::testing
