// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "anamnesis/base/shape.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/model.hpp"

namespace anamnesis::restore {

/// The values of a tensor as float64: those of 8-bit floats times their scales.
class RowValues {
public:
    /// Reads the scales, no weight. A tensor without values to read says why in `obstacle`.
    RowValues(const checkpoint::Checkpoint& checkpoint, const checkpoint::TensorEntry& tensor);

    bool has_values() const noexcept { return obstacle_.empty(); }
    /// "holds U8" or "has no scale": why there are no values; empty where there are.
    const std::string& obstacle() const noexcept { return obstacle_; }
    bool is_scaled() const noexcept { return !scales_.empty(); }
    const checkpoint::TensorEntry& tensor() const noexcept { return *tensor_; }

    /// Fills `target` with the values from element `first` on, counted over the whole tensor.
    /// Errors: `unsupported` for a tensor that has no values to read.
    void read(std::uint64_t first, std::span<double> target);

private:
    void read_scales(const checkpoint::ScaleTensor& scale);
    /// Tells the blocks of a stack of matrices, or of one row, from the shape of its scales.
    bool place_in_stack(Shape shape, std::uint64_t count);
    void multiply(std::uint64_t first, std::span<double> target) const;

    const checkpoint::TensorEntry* tensor_;
    std::string obstacle_;
    std::vector<std::byte> bytes_;
    /// A stack of matrices of rows_ x columns_; each has scale_rows_ x scale_columns_ scales.
    std::vector<double> scales_;
    std::uint64_t rows_ = 1;
    std::uint64_t columns_ = 1;
    std::uint64_t scale_rows_ = 1;
    std::uint64_t scale_columns_ = 1;
    std::uint64_t row_block_ = 1;
    std::uint64_t column_block_ = 1;
    bool has_stack_of_scales_ = false;
};

}  // namespace anamnesis::restore
