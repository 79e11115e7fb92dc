// SPDX-License-Identifier: Apache-2.0
#include "row_values.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "anamnesis/base/block_values.hpp"
#include "anamnesis/base/check.hpp"
#include "anamnesis/base/dtype.hpp"
#include "anamnesis/base/error.hpp"
#include "anamnesis/base/half.hpp"
#include "anamnesis/base/shape.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/model.hpp"

namespace anamnesis::restore {
namespace {

/// Types of blocks that hold all of their values.
bool has_block_values(DType dtype) {
    return can_dequantise(dtype) && dtype != DType::nvfp4;
}

/// How many of `size` share one of `count` scales, blocks being full but for the last.
std::uint64_t find_block(std::uint64_t size, std::uint64_t count) {
    if (count <= 1) {
        return std::max<std::uint64_t>(size, 1);
    }
    if (count == size) {
        return 1;
    }
    // Published blocks are powers of two; the largest that gives the count is the block.
    for (std::uint64_t block = 1024; block >= 8; block /= 2) {
        if ((size + block - 1) / block == count) {
            return block;
        }
    }
    return size % count == 0 ? size / count : 0;
}

}  // namespace

RowValues::RowValues(const checkpoint::Checkpoint& checkpoint,
                     const checkpoint::TensorEntry& tensor)
    : tensor_(&tensor) {
    if (is_arithmetic(tensor.dtype) || has_block_values(tensor.dtype)) {
        return;
    }
    if (is_block_quantised(tensor.dtype)) {
        obstacle_ = format("is {}, {}",
                           to_string(tensor.dtype),
                           tensor.dtype == DType::nvfp4
                               ? "whose values mean nothing without the scale of the whole tensor"
                               : "whose codebook is not part of this program");
        return;
    }
    if (!checkpoint::is_scaled(tensor.dtype)) {
        obstacle_ = format("is {}, which holds no values to compare", to_string(tensor.dtype));
        return;
    }
    try {
        if (const auto scale = checkpoint::find_scale(checkpoint, tensor.name)) {
            read_scales(checkpoint, *scale->tensor);
            // find_scale knows the block that the config declares.
            if (tensor.shape.size() <= 2 && scale->rows_per_block != 0 &&
                scale->columns_per_block != 0) {
                row_block_ = scale->rows_per_block;
                column_block_ = scale->columns_per_block;
            }
        }
    } catch (const Error& error) {
        obstacle_ = format("cannot be read with its scale: {}", error.message());
    }
}

void RowValues::read_scales(const checkpoint::Checkpoint& checkpoint,
                            const checkpoint::TensorEntry& scale) {
    static_cast<void>(checkpoint);
    const Shape& shape = tensor_->shape;
    columns_ = shape.empty() ? 1 : shape.back();
    rows_ = shape.size() < 2 ? 1 : shape[shape.size() - 2];
    const Shape& of_scale = scale.shape;
    const std::uint64_t count = find_element_count(of_scale).value_or(0);
    if (count == 0 || (!is_arithmetic(scale.dtype) && scale.dtype != DType::f8_e8m0)) {
        obstacle_ = format("has a scale of type {}, which cannot be read", to_string(scale.dtype));
        return;
    }
    std::uint64_t stack = 1;
    if (count > 1 && of_scale.size() == shape.size() && shape.size() >= 2) {
        scale_rows_ = of_scale[of_scale.size() - 2];
        scale_columns_ = of_scale.back();
        stack = count / (scale_rows_ * scale_columns_);
    } else if (count > 1 && of_scale.size() + 1 == shape.size()) {
        scale_rows_ = of_scale.back();
        stack = count / scale_rows_;
    } else if (count > 1) {
        obstacle_ =
            format("has scales of shape {}, which fit no rows", anamnesis::to_string(of_scale));
        return;
    }
    has_stack_of_scales_ = stack > 1;
    row_block_ = find_block(rows_, scale_rows_);
    column_block_ = find_block(columns_, scale_columns_);
    if (row_block_ == 0 || column_block_ == 0) {
        obstacle_ = format("has scales of shape {}, which fit no block size",
                           anamnesis::to_string(of_scale));
        return;
    }
    std::vector<std::byte> bytes(scale.bytes);
    scale.read_at(0, bytes);
    scales_.resize(count);
    widen(scale.dtype, bytes, scales_);
}

void RowValues::read(std::uint64_t first, std::span<double> target) {
    const std::uint64_t elements = block_elements(tensor_->dtype);
    const std::uint64_t size = block_bytes(tensor_->dtype);
    ANAMNESIS_CHECK(first % elements == 0 && target.size() % elements == 0,
                    "values are read in whole blocks");
    bytes_.resize(target.size() / elements * size);
    tensor_->read_at(first / elements * size, bytes_);
    widen(tensor_->dtype, bytes_, target);
    if (!scales_.empty()) {
        multiply(first, target);
    }
}

void RowValues::multiply(std::uint64_t first, std::span<double> target) const {
    for (std::size_t i = 0; i < target.size();) {
        const std::uint64_t element = first + i;
        const std::uint64_t row = element / columns_;
        const std::uint64_t column = element % columns_;
        const std::uint64_t matrix = has_stack_of_scales_ ? row / rows_ : 0;
        const std::uint64_t scale_row = matrix * scale_rows_ + (row % rows_) / row_block_;
        const std::uint64_t scale_column = column / column_block_;
        const double scale = scales_[scale_row * scale_columns_ + scale_column];
        const std::uint64_t end = std::min({columns_ - column,
                                            (scale_column + 1) * column_block_ - column,
                                            std::uint64_t{target.size() - i}});
        for (std::uint64_t k = 0; k < end; ++k) {
            target[i + k] *= scale;
        }
        i += end;
    }
}

}  // namespace anamnesis::restore
