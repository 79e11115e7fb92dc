// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/model.hpp"

namespace anamnesis::restore {

/// Rows of values as `verify` reads them: one scale a value, looked up by row and column. Shares no
/// code with what the writers read with (decision 0002).
class ScaledRows {
public:
    ScaledRows(const checkpoint::Checkpoint& checkpoint, const checkpoint::TensorEntry& tensor);

    std::vector<double> row(std::uint64_t index) const;

    /// The scale of each value of a row; ones where there is none.
    std::vector<double> scales_of_row(std::uint64_t index) const;

    /// Whether the tensor is a matrix with scales; of such a one the number of the scale of a
    /// value, and that scale.
    bool has_blocks() const { return scale_ && scale_->columns_per_block != 0; }
    std::uint64_t find_block(std::uint64_t row, std::uint64_t column) const;
    double scale_of_block(std::uint64_t block) const { return scales_.at(block); }

private:
    const checkpoint::TensorEntry& tensor_;
    std::optional<checkpoint::ScaleTensor> scale_;
    std::vector<double> scales_;
};

/// Whether `found`, 8-bit floats under their scales, is what `wanted` rounds to: each value within
/// half a unit in the last place, and no scale below what its block needs.
bool matches_after_rounding(DType dtype,
                            std::span<const double> found,
                            std::span<const double> scales,
                            std::span<const double> wanted);

/// The largest values of the blocks that have new scales. Under a scale that is far above what
/// these need, zeros would be what small values round to.
class BlockSizes {
public:
    void add(const ScaledRows& repaired, std::uint64_t row, std::span<const double> wanted);

    /// How many of the scales are more than twice what their blocks need (a power of two above it
    /// is less).
    std::uint64_t count_oversized(const ScaledRows& repaired, DType dtype) const;

private:
    std::vector<double> largest_{};  ///< by the number of the scale
};

}  // namespace anamnesis::restore
