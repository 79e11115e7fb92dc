// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "anamnesis/restore/plan.hpp"

#include "row_targets.hpp"

namespace anamnesis::restore {

/// The scales of a requantised weight as they were written: read back from the output.
class WrittenScales {
public:
    /// Errors: `internal` for a weight whose scale is not in the plan.
    WrittenScales(const Plan& plan, const TensorChange& change, const RowTargets& targets);

    /// Multiplies the values of whole rows of post's tensor, from `first_row` on.
    void multiply(std::uint64_t first_row, std::span<double> values);

private:
    void read(std::uint64_t scale_row);

    const TensorChange& weight_;
    const TensorChange& scale_;
    const ChangeTarget& target_;
    std::uint64_t scale_row_ = std::numeric_limits<std::uint64_t>::max();  ///< that `scales_` has
    std::vector<std::byte> bytes_;
    std::vector<double> scales_;
};

}  // namespace anamnesis::restore
