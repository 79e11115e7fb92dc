// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "anamnesis/runtime/torch.hpp"

#include <cmath>
#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

#include <ATen/ops/empty.h>
#include <gtest/gtest.h>

#include "anamnesis/base/json.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/io/file.hpp"
#include "anamnesis/runtime/model_spec.hpp"
#include "anamnesis/runtime/network.hpp"
#include "anamnesis/train/trainer.hpp"

namespace anamnesis::train::testing {

inline std::filesystem::path golden_folder(const std::string& model) {
    return std::filesystem::path(ANAMNESIS_TESTDATA) / "training" / model;
}

inline NamedTensors read_tensors(const std::filesystem::path& path) {
    const auto file = checkpoint::Checkpoint::open(path);
    NamedTensors tensors;
    for (const checkpoint::TensorEntry& entry : file.tensors()) {
        const std::vector<std::int64_t> sizes(entry.shape.begin(), entry.shape.end());
        at::Tensor tensor = at::empty(sizes, runtime::to_scalar_type(entry.dtype));
        entry.read_at(0, {static_cast<std::byte*>(tensor.mutable_data_ptr()), entry.bytes});
        tensors.emplace(entry.name, tensor);
    }
    return tensors;
}

inline Json expectation(const std::string& model) {
    return Json::parse(io::read_text(golden_folder(model) / "expected.json"));
}

inline runtime::Network initial_network(const std::string& model,
                                        at::ScalarType type,
                                        bool recomputes_layers = false) {
    const auto files = checkpoint::Checkpoint::open(golden_folder(model) / "initial");
    return runtime::Network::load(files,
                                  runtime::describe(files, checkpoint::recognise(files)),
                                  {.weight_type = type,
                                   .is_trainable = true,
                                   .rounds_in_training = type == at::kBFloat16,
                                   .recomputes_layers = recomputes_layers});
}

/// The optimiser of the goldens.
inline TrainerSettings golden_settings() {
    return {.adamw = {.beta1 = 0.9, .beta2 = 0.95, .eps = 1e-8, .weight_decay = 0.1}, .clip = 1.0};
}

/// |actual - expected| / |expected|, both as root mean squares.
inline double relative_rms(const at::Tensor& actual, const at::Tensor& expected) {
    const at::Tensor exact = expected.detach().to(at::kDouble);
    const double size = exact.square().mean().item<double>();
    const double error = (actual.detach().to(at::kDouble) - exact).square().mean().item<double>();
    return size > 0.0 ? std::sqrt(error / size) : std::sqrt(error);
}

inline bool is_equal(const at::Tensor& left, const at::Tensor& right) {
    return left.sizes() == right.sizes() && (left != right).sum().item<std::int64_t>() == 0;
}

}  // namespace anamnesis::train::testing
