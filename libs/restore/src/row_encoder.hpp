// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/restore/plan.hpp"

namespace anamnesis::restore {

/// Stores values as rows of a tensor of post: rounded once to plain types, quantised row by row to
/// those of GGUF, with the plan's importances where there are any. Any thread may use it.
class RowEncoder {
public:
    RowEncoder(const Plan& plan, const checkpoint::TensorEntry& post);

    /// Whole rows, from row `first` of the tensor on.
    void encode(std::uint64_t first,
                std::span<const double> values,
                std::span<std::byte> bytes) const;

private:
    const checkpoint::TensorEntry& post_;
    std::vector<float> importance_;
};

}  // namespace anamnesis::restore
