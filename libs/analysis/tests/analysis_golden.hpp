// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "anamnesis/runtime/torch.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <string>
#include <vector>

#include "anamnesis/analysis/labelled_text.hpp"
#include "anamnesis/base/dtype.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/io/file.hpp"
#include "anamnesis/runtime/hybrid_model.hpp"
#include "anamnesis/runtime/network.hpp"

namespace anamnesis::testing {

/// A model of testdata/analysis with its texts and reference values.
struct Golden {
    explicit Golden(const std::string& name)
        : folder(std::filesystem::path(ANAMNESIS_TESTDATA) / "analysis" / name),
          expected(Json::parse(io::read_text(folder / "expected.json", 1U << 24U))),
          rows(analysis::read_labelled_rows(folder / "inputs.safetensors")) {}

    std::filesystem::path folder;
    Json expected;
    std::vector<analysis::LabelledText> rows;

    runtime::Network load(DType dtype, const std::string& device = "cpu") const {
        const auto files = checkpoint::Checkpoint::open(folder / "model");
        return runtime::load_network(
            files, checkpoint::recognise(files), {.dtype = dtype, .device = device});
    }

    std::vector<std::size_t> layers() const {
        std::vector<std::size_t> numbers;
        for (const Json& layer : expected.at("softmax_layers").as_array("layers")) {
            numbers.push_back(layer.as_unsigned("layer"));
        }
        return numbers;
    }

    double predictions() const {
        double sum = 0.0;
        for (const Json& count : expected.at("supervised_predictions").as_array("counts")) {
            sum += count.as_double("count");
        }
        return sum;
    }

    const Json& example(std::size_t index, const std::string& kind, std::size_t layer) const {
        return expected.at("examples").as_array("examples")[index].at(kind).at(format("{}", layer));
    }
};

inline std::vector<std::uint64_t> read_counts(const Json& json) {
    std::vector<std::uint64_t> counts;
    for (const Json& count : json.as_array("counts")) {
        counts.push_back(count.as_unsigned("count"));
    }
    return counts;
}

/// |actual - expected| / |expected|, both as root mean squares.
inline double relative_rms(const at::Tensor& actual, const at::Tensor& expected) {
    return std::sqrt((actual - expected).square().sum().item<double>() /
                     expected.square().sum().item<double>());
}

/// The largest relative difference of two lists; infinite where their lengths differ.
inline double relative_difference(const std::vector<double>& actual, const Json& expected) {
    const Json::Array& values = expected.as_array("values");
    double worst = actual.size() == values.size() ? 0.0 : std::numeric_limits<double>::infinity();
    for (std::size_t i = 0; i < std::min(actual.size(), values.size()); ++i) {
        const double exact = values[i].as_double("value");
        const double difference = std::fabs(actual[i] - exact);
        worst = std::max(worst, exact == 0.0 ? difference : difference / std::fabs(exact));
        // NaN is greater than nothing.
        worst = std::isnan(difference) ? std::numeric_limits<double>::infinity() : worst;
    }
    return worst;
}

}  // namespace anamnesis::testing
