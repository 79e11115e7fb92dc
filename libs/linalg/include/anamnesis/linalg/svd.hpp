// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "anamnesis/linalg/matrix_view.hpp"

namespace anamnesis::linalg {

/// a = left diag(values) right, with k = min(rows, columns) singular values.
struct SingularValues {
    Matrix left;                 ///< [rows, k]: its columns are the left singular vectors
    std::vector<double> values;  ///< [k], largest first
    Matrix right;                ///< [k, columns]: its rows are the right singular vectors
};

/// The thin singular value decomposition of `a`.
///
/// Shapes: a [rows, columns].   Units: the values have those of `a`.
/// Errors: `unsupported` for a NaN or an infinity; `exhausted` if LAPACK does not converge.
/// Cost:   one copy of `a`; O(rows columns min(rows, columns)).
/// Source: LAPACK `dgesdd`; Golub & Van Loan, 4th ed., §8.6.
SingularValues singular_values(MatrixView<const double> a);

}  // namespace anamnesis::linalg
