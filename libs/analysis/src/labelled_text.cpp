// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/analysis/labelled_text.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "anamnesis/base/dtype.hpp"
#include "anamnesis/base/error.hpp"
#include "anamnesis/base/shape.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/formats/integers.hpp"
#include "anamnesis/formats/safetensors.hpp"

namespace anamnesis::analysis {
namespace {

struct IntegerMatrix {
    Shape shape;
    std::vector<std::int64_t> values;
};

IntegerMatrix read_matrix(const formats::SafetensorsFile& file,
                          const std::string& name,
                          const std::string& path) {
    const formats::TensorInfo* tensor = file.find(name);
    if (tensor == nullptr) {
        throw Error(ErrorKind::not_found,
                    format("no tensor {} in {}", in_quotes(name), in_quotes(path)));
    }
    const bool is_integer = tensor->dtype == DType::i64 || tensor->dtype == DType::i32;
    if (!is_integer || tensor->shape.size() != 2) {
        throw Error(ErrorKind::mismatch,
                    format("tensor {} of {} is {} of shape {}, expected I64 or I32 of shape [B, T]",
                           in_quotes(name),
                           in_quotes(path),
                           to_string(tensor->dtype),
                           anamnesis::to_string(tensor->shape)));
    }
    return {.shape = tensor->shape, .values = formats::read_integers(file, *tensor)};
}

}  // namespace

std::vector<bool> predicting_positions(const LabelledText& text) {
    std::vector<bool> predicting(text.ids.size());
    for (std::size_t t = 0; t + 1 < text.labels.size() && t < predicting.size(); ++t) {
        predicting[t] = text.labels[t + 1] != unsupervised;
    }
    return predicting;
}

std::size_t prediction_count(const LabelledText& text) {
    const std::vector<bool> predicting = predicting_positions(text);
    return static_cast<std::size_t>(std::ranges::count(predicting, true));
}

std::vector<LabelledText> read_labelled_rows(const std::filesystem::path& path) {
    const auto file = formats::SafetensorsFile::open(path);
    const IntegerMatrix ids = read_matrix(file, "input_ids", path.string());
    const IntegerMatrix labels = read_matrix(file, "labels", path.string());
    if (ids.shape != labels.shape) {
        throw Error(ErrorKind::mismatch,
                    format("{}: 'labels' has shape {}, 'input_ids' {}",
                           in_quotes(path.string()),
                           anamnesis::to_string(labels.shape),
                           anamnesis::to_string(ids.shape)));
    }
    std::vector<LabelledText> rows;
    const auto length = static_cast<std::ptrdiff_t>(ids.shape[1]);
    for (std::uint64_t b = 0; b < ids.shape[0]; ++b) {
        const std::ptrdiff_t first = static_cast<std::ptrdiff_t>(b) * length;
        const auto row = [&](const std::vector<std::int64_t>& values) {
            return std::vector<std::int64_t>(values.begin() + first,
                                             values.begin() + first + length);
        };
        rows.push_back({.ids = row(ids.values), .labels = row(labels.values)});
    }
    return rows;
}

}  // namespace anamnesis::analysis
