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

/// The same as a repair of its own, of checkpoints that may lie in memory.
/// Errors: those of the methods; `usage` for several strengths; `mismatch` where the selected rows
///         of pre and post are the same.
std::vector<RepairedRows> repair_in_memory(const Plan& plan, const Execution& execution);

}  // namespace anamnesis::restore
