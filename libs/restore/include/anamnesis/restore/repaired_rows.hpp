// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <vector>

#include "anamnesis/restore/apply.hpp"
#include "anamnesis/restore/plan.hpp"

namespace anamnesis::restore {

/// The new rows of one tensor, as its checkpoint stores them, splice after splice.
struct RepairedRows {
    const TensorChange* change = nullptr;
    std::vector<std::byte> bytes{};
};

/// Carries a plan out in memory: the rows of its first output, change after change.
/// Errors: those of the methods.   Cost: memory for twice the changed rows.
std::vector<RepairedRows> make_repaired_rows(const Plan& plan, const Execution& execution);

}  // namespace anamnesis::restore
