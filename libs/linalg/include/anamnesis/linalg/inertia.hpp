// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

#include "anamnesis/linalg/matrix_view.hpp"

namespace anamnesis::linalg {

/// How many eigenvalues of a symmetric matrix are above a bound: the positive ones of m - bound I,
/// which a factorisation L D L^T has as many of (Sylvester's law of inertia).
///
/// Shapes: m [n, n], symmetric; its memory is used up.
/// Errors: `unsupported` for a NaN or an infinity.
/// Cost:   n^3 / 3 operations.
/// Source: LAPACK `dsytrf`.
std::size_t count_eigenvalues_above(Matrix m, double bound);

}  // namespace anamnesis::linalg
