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
            read_scales(*scale);
        }
    } catch (const Error& error) {
        obstacle_ = format("cannot be read with its scale: {}", error.message());
    }
}

void RowValues::read_scales(const checkpoint::ScaleTensor& scale) {
    const checkpoint::TensorEntry& tensor = *scale.tensor;
    const std::uint64_t count = find_element_count(tensor.shape).value_or(0);
    if (!scale.value_type || count == 0) {
        obstacle_ = format("has a scale of type {} and shape {}, which cannot be read",
                           to_string(tensor.dtype),
                           anamnesis::to_string(tensor.shape));
        return;
    }
    const Shape& shape = tensor_->shape;
    columns_ = shape.empty() ? 1 : shape.back();
    rows_ = shape.size() < 2 ? 1 : shape[shape.size() - 2];
    if (shape.size() == 2) {
        // find_scale knows the block that the config declares, and sees [rows, 1, 1] as [rows, 1].
        scale_rows_ = tensor.rows();
        scale_columns_ = tensor.columns();
        row_block_ = scale.rows_per_block;
        column_block_ = scale.columns_per_block;
    } else if (!place_in_stack(tensor.shape, count)) {
        obstacle_ = format("has scales of shape {}, which fit no block size",
                           anamnesis::to_string(tensor.shape));
        return;
    }
    std::vector<std::byte> bytes(tensor.bytes);
    tensor.read_at(0, bytes);
    scales_.resize(count);
    widen(*scale.value_type, bytes, scales_);
}

bool RowValues::place_in_stack(Shape shape, std::uint64_t count) {
    const std::size_t dimensions = tensor_->shape.size();
    while (shape.size() > dimensions && shape.back() == 1) {
        shape.pop_back();
    }
    std::uint64_t stack = 1;
    if (count > 1 && shape.size() == dimensions && dimensions >= 2) {
        scale_rows_ = shape[shape.size() - 2];
        scale_columns_ = shape.back();
        stack = count / (scale_rows_ * scale_columns_);
    } else if (count > 1 && shape.size() + 1 == dimensions) {
        scale_rows_ = shape.back();
        stack = count / scale_rows_;
    } else if (count > 1 && shape.size() == 1 && count == tensor_->shape.front()) {
        stack = count;  // one scale a matrix
    } else if (count > 1) {
        return false;
    }
    has_stack_of_scales_ = stack > 1;
    row_block_ = find_block(rows_, scale_rows_);
    column_block_ = find_block(columns_, scale_columns_);
    return row_block_ != 0 && column_block_ != 0;
}

void RowValues::read(std::uint64_t first, std::span<double> target) {
    const std::uint64_t elements = block_elements(tensor_->dtype);
    const std::uint64_t size = block_bytes(tensor_->dtype);
    ANAMNESIS_CHECK(first % elements == 0 && target.size() % elements == 0,
                    "values are read in whole blocks");
    // Without its scale a value is another one, and nobody could tell from what was written.
    if (!obstacle_.empty()) {
        throw Error(ErrorKind::unsupported,
                    format("tensor {} {}", in_quotes(tensor_->name), obstacle_));
    }
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
