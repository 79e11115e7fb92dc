// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "anamnesis/linalg/matrix_view.hpp"

namespace anamnesis::linalg {

/// m = L L^T, kept to solve with it as often as is wanted.
///
/// Threads: const functions may run at once.
/// Source:  LAPACK `dpotrf` and `dpotrs`.
class CholeskyFactor {
public:
    /// Shapes: m [n, n], symmetric; its memory becomes the factor's.
    /// Errors: `unsupported` where m is not positive definite in float64.
    /// Cost:   n^3 / 3 operations.
    explicit CholeskyFactor(Matrix m);

    /// Replaces each row x^T by x^T m^-1.
    /// Shapes: rows [k, n], without gaps.   Cost: 2 n^2 k operations.
    void solve_rows(Matrix& rows) const;

    /// |m| |m^-1| in the 1-norm, estimated: at most the condition, and rarely less than a third.
    /// Source: LAPACK `dpocon` (Higham 1988).   Cost: a few n^2 operations.
    double estimate_condition() const;

private:
    Matrix factor_;
    double norm_ = 0.0;  ///< of m, the largest sum of a column's absolute values
};

/// x with m x = right, for a symmetric positive definite m.
///
/// Shapes: m [n, n], right [n, k] -> [n, k].
/// Errors: as `CholeskyFactor`.   Cost: copies of both besides.
Matrix solve_positive_definite(MatrixView<const double> m, MatrixView<const double> right);

}  // namespace anamnesis::linalg
