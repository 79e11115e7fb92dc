// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "anamnesis/runtime/torch.hpp"

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <ATen/ops/empty.h>
#include <gtest/gtest.h>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/checkpoint/blueprint.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/io/file.hpp"
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

/// The folder of a golden model: in testdata, or in the collection beside the project.
inline std::filesystem::path golden_model(const std::string& name) {
    const std::filesystem::path own = std::filesystem::path(ANAMNESIS_TESTDATA) / "models" / name;
    const std::filesystem::path shared =
        std::filesystem::path(ANAMNESIS_SHARED) / "data/golden/models" / name;
    return std::filesystem::exists(own) || !std::filesystem::exists(shared) ? own : shared;
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

/// The error of the reference's own run in bfloat16, by the golden's meta.json.
inline double stated_bf16_error(const std::string& model) {
    const Json meta = Json::parse(io::read_text(golden_model(model) / "meta.json"));
    if (const Json* error = meta.find("bfloat16_against_float64_relative_rms")) {
        return error->at("logits").as_double("logits");
    }
    return meta.at("whole_model_in_bfloat16_against_float32_logits")
        .at("rel_rms")
        .as_double("rel_rms");
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

inline bool is_of_a_family_that_runs(const std::filesystem::path& folder) {
    try {
        const auto config = Json::parse_python(io::read_text(folder / "config.json"));
        return checkpoint::make_blueprint(config).is_complete;
    } catch (const Error&) {
        return false;
    }
}

/// Every golden model of testdata that has `file`, sorted; with `is_everywhere` also those of the
/// collection beside the project, where it is, whose families run.
inline std::vector<std::string> golden_models(std::string_view file = "expected.safetensors",
                                              bool is_everywhere = true) {
    std::set<std::string> names;
    for (const std::filesystem::path& folder :
         {std::filesystem::path(ANAMNESIS_TESTDATA) / "models",
          std::filesystem::path(ANAMNESIS_SHARED) / "data/golden/models"}) {
        if (!std::filesystem::exists(folder)) {
            continue;
        }
        for (const auto& entry : std::filesystem::directory_iterator(folder)) {
            if (std::filesystem::exists(entry.path() / file) &&
                (folder.string().starts_with(ANAMNESIS_TESTDATA) ||
                 is_of_a_family_that_runs(entry.path()))) {
                names.insert(entry.path().filename().string());
            }
        }
        if (!is_everywhere) {
            break;
        }
    }
    return {names.begin(), names.end()};
}

}  // namespace anamnesis::testing
