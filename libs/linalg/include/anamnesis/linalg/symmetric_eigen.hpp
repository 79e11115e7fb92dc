// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "anamnesis/linalg/matrix_view.hpp"

namespace anamnesis::linalg {

/// m = vectors^T diag(values) vectors.
struct SymmetricEigen {
    std::vector<double> values;  ///< ascending
    Matrix vectors;              ///< row j belongs to values[j]; orthonormal
};

/// Eigenvalues and eigenvectors of a symmetric matrix, of which the upper triangle is read.
///
/// Shapes: m [n, n].   Units: the values have those of m.
/// Errors: `unsupported` for a NaN or an infinity; `exhausted` if LAPACK does not converge.
/// Cost:   one copy of m; O(n^3).
/// Source: LAPACK `dsyevd` (divide and conquer).
SymmetricEigen symmetric_eigen(MatrixView<const double> m);

/// x with m x = right, for a symmetric positive definite m.
///
/// Shapes: m [n, n], right [n, k] -> [n, k].
/// Errors: `unsupported` where m is not positive definite in float64.
/// Cost:   copies of both; n^3 / 3 + 2 n^2 k operations.
/// Source: LAPACK `dposv` (Cholesky).
Matrix solve_positive_definite(MatrixView<const double> m, MatrixView<const double> right);

}  // namespace anamnesis::linalg
