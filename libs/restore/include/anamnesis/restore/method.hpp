// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <vector>

#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/linalg/matrix_view.hpp"
#include "anamnesis/linalg/procrustes.hpp"

/// The numerical core of the methods (docs/method.md, "Methods"). Rows of a head are
/// [head_dim, hidden], as a checkpoint stores them; a bias is one more column. Everything is
/// float64 and pure: qk_pro.hpp has `pro`, alignment.hpp has `align`, drift_measures.hpp the
/// distances.
namespace anamnesis::restore {

/// The pairs of rows that position encoding rotates into each other.
/// Errors: `unsupported` for an odd number of rotated rows, or more than the head has.
std::vector<linalg::Plane> rotary_planes(const checkpoint::RotaryLayout& rotary,
                                         std::size_t head_dim);

/// output = post + alpha (pre - post), element by element; alpha = 0 and alpha = 1 give post and
/// pre bit for bit. The output may be `post` itself.
///
/// Shapes: all the same.   Errors: `usage` for an alpha that is not finite.
void interpolate(double alpha,
                 linalg::MatrixView<const double> pre,
                 linalg::MatrixView<const double> post,
                 linalg::MatrixView<double> output);

}  // namespace anamnesis::restore
