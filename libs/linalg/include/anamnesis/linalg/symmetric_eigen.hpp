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

}  // namespace anamnesis::linalg
