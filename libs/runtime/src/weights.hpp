// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "anamnesis/runtime/torch.hpp"

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/io/mapped_file.hpp"

#include "packed_rows.hpp"

namespace anamnesis::runtime {

struct WeightOptions {
    std::optional<at::ScalarType> dtype{};  ///< of matrices; absent: as stored
    at::Device device = at::kCPU;
    /// Own copies that ask for gradients and may be written; otherwise tensors lie in the mapped
    /// file where dtype and device allow.
    bool copies = false;
    /// Handed out in place of the file's, by name.
    std::map<std::string, at::Tensor> replacements{};
    /// `Linear::rounds_in_training` of the matrices.
    bool rounds_in_training = false;
    /// Block-quantised matrices of products stay as they lie in the file.
    bool keeps_packed = false;
};

/// Hands out the tensors of a checkpoint for computing.
///
/// Owner: tensors share the mapped files and keep them alive.
class Weights {
public:
    Weights(const checkpoint::Checkpoint& checkpoint, const WeightOptions& options);

    /// The type of activations: float64 where weights are, float32 otherwise.
    at::ScalarType activation_type() const noexcept { return activation_type_; }
    const WeightOptions& options() const noexcept { return options_; }

    bool has(const std::string& name) const;
    /// The first dimension. Errors: `not_found`.
    std::int64_t rows(const std::string& name) const;

    /// A matrix of a product, in the weights' type.
    /// Errors: `not_found`; `mismatch` for another shape; `unsupported` for types that do not
    /// compute (FP8, integers).
    at::Tensor matrix(const std::string& name, at::IntArrayRef shape);
    /// The same of a matrix that is to stay packed and can; else undefined.
    PackedRows packed(const std::string& name, at::IntArrayRef shape) const;
    /// A gain, bias, decay or kernel, in the type of activations.
    at::Tensor vector(const std::string& name, at::IntArrayRef shape);
    /// Codes that something else decodes, on the host.
    /// Errors: as above; `unsupported` where weights are to be trained.
    at::Tensor bytes(const std::string& name, at::IntArrayRef shape);

    /// Everything handed out so far, by name.
    const std::map<std::string, at::Tensor>& taken() const& noexcept { return taken_; }

private:
    at::Tensor take(const std::string& name, at::IntArrayRef shape, at::ScalarType type);
    const checkpoint::TensorEntry& find(const std::string& name, at::IntArrayRef shape) const;
    at::Tensor mapped(const checkpoint::TensorEntry& entry) const;
    at::Tensor mapped_bytes(const checkpoint::TensorEntry& entry) const;

    const checkpoint::Checkpoint& checkpoint_;
    WeightOptions options_;
    at::ScalarType activation_type_;
    std::vector<std::shared_ptr<const io::MappedFile>> files_;
    std::map<std::string, at::Tensor> taken_;
};

}  // namespace anamnesis::runtime
