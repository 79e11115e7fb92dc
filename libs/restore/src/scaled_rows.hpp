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

}  // namespace anamnesis::restore
