// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/restore/importance.hpp"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "anamnesis/base/dtype.hpp"
#include "anamnesis/base/error.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/formats/gguf.hpp"

namespace anamnesis::restore {
namespace {

constexpr std::string_view sums_end = ".in_sum2";
constexpr std::string_view counts_end = ".counts";

std::vector<float> read_values(const formats::GgufFile& file, const formats::GgufTensor& tensor) {
    if (tensor.dtype != DType::f32) {
        throw Error(ErrorKind::malformed,
                    format("tensor {} of the importance matrix is {}, expected F32",
                           in_quotes(tensor.name),
                           to_string(tensor.dtype)));
    }
    std::vector<float> values(tensor.bytes / sizeof(float));
    file.file->read_at(tensor.offset, std::as_writable_bytes(std::span(values)));
    return values;
}

}  // namespace

ImportanceMatrix ImportanceMatrix::open(const std::filesystem::path& path) {
    const formats::GgufFile file = formats::open_gguf(path);
    if (file.type() != "imatrix") {
        throw Error(ErrorKind::malformed,
                    format("{} is no importance matrix: general.type is {}, expected \"imatrix\"",
                           in_quotes(path.string(), 1000),
                           in_quotes(file.type())));
    }
    std::map<std::string, const formats::GgufTensor*, std::less<>> counts;
    for (const formats::GgufTensor& tensor : file.tensors) {
        if (tensor.name.ends_with(counts_end)) {
            counts.emplace(tensor.name.substr(0, tensor.name.size() - counts_end.size()), &tensor);
        }
    }
    ImportanceMatrix matrix;
    matrix.path_ = path;
    for (const formats::GgufTensor& tensor : file.tensors) {
        if (!tensor.name.ends_with(sums_end)) {
            continue;
        }
        const std::string name = tensor.name.substr(0, tensor.name.size() - sums_end.size());
        Weights weights{.columns = tensor.shape.back(), .values = read_values(file, tensor)};
        const auto found = counts.find(name);
        const std::vector<float> count =
            found == counts.end() ? std::vector<float>() : read_values(file, *found->second);
        if (count.size() != weights.values.size() / weights.columns) {
            throw Error(ErrorKind::mismatch,
                        format("{}: {} has sums for {} matrices and counts for {}",
                               in_quotes(path.string(), 1000),
                               in_quotes(name),
                               weights.values.size() / weights.columns,
                               count.size()));
        }
        for (std::size_t i = 0; i < weights.values.size(); ++i) {
            const float times = count[i / weights.columns];
            weights.values[i] = times > 0.0F ? weights.values[i] / times : 1.0F;
        }
        matrix.weights_.emplace(name, std::move(weights));
    }
    return matrix;
}

std::vector<float> ImportanceMatrix::find(const checkpoint::TensorEntry& tensor) const {
    const auto found = weights_.find(tensor.name);
    if (found == weights_.end()) {
        return {};
    }
    const Weights& weights = found->second;
    const std::uint64_t columns = tensor.shape.empty() ? 1 : tensor.shape.back();
    const std::uint64_t matrices = tensor.shape.size() > 2 ? tensor.shape.front() : 1;
    const std::uint64_t found_matrices = weights.values.size() / weights.columns;
    if (weights.columns != columns || found_matrices != matrices) {
        throw Error(ErrorKind::mismatch,
                    format("{} has {} x {} importances for tensor {}, expected {} x {}",
                           in_quotes(path_.string(), 1000),
                           found_matrices,
                           weights.columns,
                           in_quotes(tensor.name),
                           matrices,
                           columns));
    }
    return weights.values;
}

}  // namespace anamnesis::restore
