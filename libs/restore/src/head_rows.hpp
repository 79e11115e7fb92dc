// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

#include "anamnesis/linalg/matrix_view.hpp"
#include "anamnesis/restore/plan.hpp"

namespace anamnesis::restore {

/// Which of the two row numbers of a HeadRows is meant.
enum class Side : std::uint8_t { pre, post };

/// The rows of a head as float64, [rows, columns]; with `is_augmented` the bias is a last
/// column (zero where the projection has none), which is the augmented matrix of
/// docs/method.md, "Biases".
linalg::Matrix load_block(Side side, const HeadBlock& block, bool is_augmented);

/// The factors of a QK-norm, also where the family stores them less one.
/// Errors: `unsupported` where there is none, or one over the full width.
std::vector<double> load_gain(const RecognisedCheckpoint& source,
                              const checkpoint::TensorEntry* gain);

}  // namespace anamnesis::restore
