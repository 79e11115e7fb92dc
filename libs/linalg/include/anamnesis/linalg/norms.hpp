// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "anamnesis/linalg/matrix_view.hpp"

namespace anamnesis::linalg {

/// Sum of the squares of all elements, in float64. A NaN or infinity shows in the result.
/// Errors of rounding: below 1e-14 relative for rows of a million elements.
double sum_of_squares(MatrixView<const double> a);

/// sum_of_squares(a - b), without forming the difference. Shapes: both the same.
double sum_of_squared_differences(MatrixView<const double> a, MatrixView<const double> b);

/// The Frobenius norm ||a||_F.
double frobenius_norm(MatrixView<const double> a);

/// sum_ij a_ij b_ij, which is tr(a b^T). Shapes: both the same.
double dot(MatrixView<const double> a, MatrixView<const double> b);

double trace(MatrixView<const double> a);

/// Whether no element is NaN or infinite.
bool is_finite(MatrixView<const double> a);

/// a - b in a new matrix. Shapes: both the same.
Matrix difference(MatrixView<const double> a, MatrixView<const double> b);

}  // namespace anamnesis::linalg
