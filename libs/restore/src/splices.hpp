// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/restore/plan.hpp"

namespace anamnesis::restore {

/// Appends rows, growing the last splice where both sides go on.
void append_rows(std::vector<RowSplice>& splices,
                 checkpoint::RowRange rows,
                 std::uint64_t pre_row,
                 checkpoint::RowRole role);

}  // namespace anamnesis::restore
