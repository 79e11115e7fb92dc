// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/train/batches_file.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string_view>
#include <vector>

#include "anamnesis/base/check.hpp"
#include "anamnesis/base/dtype.hpp"
#include "anamnesis/base/error.hpp"
#include "anamnesis/base/shape.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/formats/integers.hpp"
#include "anamnesis/formats/safetensors.hpp"
#include "anamnesis/train/batch.hpp"

namespace anamnesis::train {
namespace {

const formats::TensorInfo& integers_in(const formats::SafetensorsFile& file,
                                       std::string_view name) {
    const formats::TensorInfo* tensor = file.find(name);
    if (tensor == nullptr) {
        throw Error(ErrorKind::not_found,
                    format("no tensor {} in {}", in_quotes(name), file.path().string()));
    }
    const bool is_integer = tensor->dtype == DType::i64 || tensor->dtype == DType::i32;
    if (!is_integer || tensor->shape.size() != 3 || tensor->data.size() == 0) {
        throw Error(ErrorKind::mismatch,
                    format("tensor {} of {} is {} of shape {}, expected I64 or I32 of shape "
                           "[steps, B, T]",
                           in_quotes(name),
                           file.path().string(),
                           to_string(tensor->dtype),
                           anamnesis::to_string(tensor->shape)));
    }
    return *tensor;
}

std::vector<float> read_weights(const formats::SafetensorsFile& file, const Shape& shape) {
    const formats::TensorInfo* tensor = file.find("weights");
    if (tensor == nullptr) {
        return {};
    }
    if (tensor->dtype != DType::f32 || tensor->shape != shape) {
        throw Error(ErrorKind::mismatch,
                    format("tensor 'weights' of {} is {} of shape {}, expected F32 of shape {}",
                           file.path().string(),
                           to_string(tensor->dtype),
                           anamnesis::to_string(tensor->shape),
                           anamnesis::to_string(shape)));
    }
    std::vector<float> weights(tensor->data.size() / sizeof(float));
    file.file().read_at(file.data_begin() + tensor->data.begin(),
                        std::as_writable_bytes(std::span(weights)));
    // Written so that NaN fails.
    if (!std::ranges::all_of(weights,
                             [](float one) { return one >= 0.0F && std::isfinite(one); })) {
        throw Error(ErrorKind::malformed,
                    format("tensor 'weights' of {} holds a weight that is no number or below 0",
                           file.path().string()));
    }
    return weights;
}

}  // namespace

BatchesFile::BatchesFile(const std::filesystem::path& path) {
    const auto file = formats::SafetensorsFile::open(path);
    const formats::TensorInfo& ids = integers_in(file, "input_ids");
    const formats::TensorInfo& labels = integers_in(file, "labels");
    if (ids.shape != labels.shape) {
        throw Error(ErrorKind::mismatch,
                    format("'input_ids' of {} has shape {}, 'labels' {}",
                           path.string(),
                           anamnesis::to_string(ids.shape),
                           anamnesis::to_string(labels.shape)));
    }
    steps_ = ids.shape[0];
    rows_ = ids.shape[1];
    length_ = ids.shape[2];
    ids_ = formats::read_integers(file, ids);
    labels_ = formats::read_integers(file, labels);
    weights_ = read_weights(file, ids.shape);
}

std::vector<Batch> BatchesFile::batches(std::uint64_t step) const {
    ANAMNESIS_CHECK(step < steps_, "a step that the file of batches has");
    const std::size_t size = rows_ * length_;
    const auto part = [&](const auto& all) {
        const auto values = std::span(all).subspan(step * size, size);
        return std::vector(values.begin(), values.end());
    };
    return {{.rows = rows_,
             .length = length_,
             .ids = part(ids_),
             .labels = part(labels_),
             .weights = weights_.empty() ? std::vector<float>() : part(weights_)}};
}

}  // namespace anamnesis::train
