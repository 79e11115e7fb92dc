// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <functional>
#include <span>

#include "anamnesis/linalg/matrix_view.hpp"
#include "anamnesis/restore/fit.hpp"
#include "anamnesis/restore/fit_rows.hpp"
#include "anamnesis/restore/plan.hpp"

#include "head_rows.hpp"

namespace anamnesis::restore {

/// Told fitted rows of blocks that share their moments, each block's below those of the one before.
using TakeStack = std::function<void(std::span<const HeadBlock> blocks, linalg::Matrix rows)>;

/// As `compute_fit`, of each block every `step`-th row, from its first.
void compute_fit_in_stacks(const FitGroup& group,
                           const GroupMoments& moments,
                           const FitBalance& balance,
                           const TakeStack& take,
                           std::size_t step);

/// The same rows of one of the checkpoints; with a bias, it is the last column.
linalg::Matrix load_stack(Side side,
                          std::span<const HeadBlock> blocks,
                          bool is_augmented,
                          std::size_t step);

}  // namespace anamnesis::restore
