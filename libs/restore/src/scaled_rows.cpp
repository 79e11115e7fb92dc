// SPDX-License-Identifier: Apache-2.0
#include "scaled_rows.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "anamnesis/base/dtype.hpp"
#include "anamnesis/base/error.hpp"
#include "anamnesis/base/float8.hpp"
#include "anamnesis/base/half.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/model.hpp"

namespace anamnesis::restore {
namespace {

/// How many of `size` share one of `parts` scales of a matrix in a stack, of which no config tells:
/// published blocks are powers of two, and the last may be cut.
std::uint64_t guess_block(std::uint64_t size, std::uint64_t parts) {
    if (parts <= 1 || parts == size) {
        return parts == size ? 1 : size;
    }
    std::uint64_t block = 1024;
    while (block > 8 && (size + block - 1) / block != parts) {
        block /= 2;
    }
    return (size + block - 1) / block == parts ? block : std::max<std::uint64_t>(1, size / parts);
}

}  // namespace

ScaledRows::ScaledRows(const checkpoint::Checkpoint& checkpoint,
                       const checkpoint::TensorEntry& tensor)
    : tensor_(tensor), scale_(checkpoint::find_scale(checkpoint, tensor.name)) {
    if (scale_) {
        const checkpoint::TensorEntry& scale = *scale_->tensor;
        std::vector<std::byte> bytes(scale.bytes);
        scale.read_at(0, bytes);
        if (!scale_->value_type) {
            throw Error(ErrorKind::unsupported, checkpoint::describe_unreadable(*scale_));
        }
        scales_.resize(count_elements(*scale_->value_type, scale.bytes));
        widen(*scale_->value_type, bytes, scales_);
    }
}

std::vector<double> ScaledRows::scales_of_row(std::uint64_t index) const {
    std::vector<double> scales(tensor_.columns(), 1.0);
    if (scale_ && scale_->columns_per_block == 0) {
        // A row of a stack is a matrix, whose scales are a matrix as well.
        const std::size_t last = tensor_.shape.size() - 1;
        const std::uint64_t rows = tensor_.shape[last - 1];
        const std::uint64_t columns = tensor_.shape[last];
        const auto& of_scale = scale_->tensor->shape;
        const std::uint64_t width = of_scale.size() > last ? of_scale[last] : 1;
        const std::uint64_t count = scales_.size() / tensor_.rows();
        const std::uint64_t row_block = guess_block(rows, count / width);
        const std::uint64_t column_block = guess_block(columns, width);
        for (std::uint64_t i = 0; i < scales.size(); ++i) {
            const std::uint64_t row = i / columns / row_block;
            scales[i] = scales_.at(index * count + row * width + i % columns / column_block);
        }
    } else if (scale_) {
        for (std::uint64_t column = 0; column < scales.size(); ++column) {
            scales[column] = scales_.at(find_block(index, column));
        }
    }
    return scales;
}

std::uint64_t ScaledRows::find_block(std::uint64_t row, std::uint64_t column) const {
    const std::uint64_t width = scale_->tensor->columns();
    return row / scale_->rows_per_block * width + column / scale_->columns_per_block;
}

std::vector<double> ScaledRows::row(std::uint64_t index) const {
    std::vector<std::byte> bytes(tensor_.row_bytes());
    tensor_.read_at(index * tensor_.row_bytes(), bytes);
    std::vector<double> values(tensor_.columns());
    widen(tensor_.dtype, bytes, values);
    const std::vector<double> scales = scales_of_row(index);
    for (std::size_t i = 0; i < values.size(); ++i) {
        values[i] *= scales[i];
    }
    return values;
}

bool matches_after_rounding(DType dtype,
                            std::span<const double> found,
                            std::span<const double> scales,
                            std::span<const double> wanted) {
    const bool has_three_bits = dtype == DType::f8_e4m3 || dtype == DType::f8_e4m3fnuz;
    // Half a unit in the last place of a normal number, relative to it; half the smallest number.
    const double relative = has_three_bits ? 0x1p-4 : 0x1p-3;
    const double smallest = has_three_bits ? 0x1p-10 : 0x1p-17;
    // A scale that was rounded down by its own type lets the largest value be cut by as much.
    constexpr double slack = 1.0 + 0x1p-7;
    for (std::size_t i = 0; i < wanted.size(); ++i) {
        const double limit =
            std::max(std::abs(wanted[i]) * relative, std::abs(scales[i]) * smallest) * slack;
        const bool is_equal =
            found[i] == wanted[i] || (std::isnan(wanted[i]) && std::isnan(found[i]));
        if (!is_equal && !(std::abs(found[i] - wanted[i]) <= limit)) {
            return false;
        }
    }
    return true;
}

void BlockSizes::add(const ScaledRows& repaired,
                     std::uint64_t row,
                     std::span<const double> wanted) {
    if (!repaired.has_blocks()) {
        return;
    }
    for (std::uint64_t column = 0; column < wanted.size(); ++column) {
        if (const double size = std::abs(wanted[column]); std::isfinite(size)) {
            const std::uint64_t block = repaired.find_block(row, column);
            if (block >= largest_.size()) {
                largest_.resize(block + 1);
            }
            largest_[block] = std::max(largest_[block], size);
        }
    }
}

std::uint64_t BlockSizes::count_oversized(const ScaledRows& repaired, DType dtype) const {
    // Scales of F16 and E8M0 have a smallest value, under which nothing is lost that counts.
    constexpr double smallest = 0x1p-24;
    std::uint64_t count = 0;
    for (std::uint64_t block = 0; block < largest_.size(); ++block) {
        const double size = largest_[block];
        const double needed = size / largest_f8(dtype);
        // Of a block of zeros nothing else rounds to them, whatever the scale.
        count += size > 0.0 && !(repaired.scale_of_block(block) <= std::max(2.0 * needed, smallest))
                     ? 1
                     : 0;
    }
    return count;
}

}  // namespace anamnesis::restore
