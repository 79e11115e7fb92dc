// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "anamnesis/linalg/matrix_view.hpp"

namespace anamnesis::linalg {

/// Two coordinates that a rotation turns into each other.
struct Plane {
    std::size_t first = 0;
    std::size_t second = 0;
};

/// The orthogonal O that maximises tr(O^T m): for m = sum x^T y it minimises sum ||x O - y||_F^2.
/// May reflect.
///
/// Shapes: m [n, n] -> [n, n].
/// Errors: those of `singular_values`.
/// Source: Schönemann 1966; Golub & Van Loan, 4th ed., §6.4.1.
Matrix nearest_orthogonal(MatrixView<const double> m);

/// An orthogonal matrix that turns given planes by an angle each.
struct PlaneRotations {
    Matrix orthogonal;
    /// One per plane, in (-pi, pi]: O(first, first) = cos, O(second, first) = sin.
    std::vector<double> angles;
};

/// The same among the matrices that turn each plane by one angle, have a general orthogonal block
/// on the coordinates in no plane, and mix the two nowhere: those that commute with every rotation
/// of the planes by angles of their own.
///
/// Shapes: m [n, n]; coordinates of planes below n, each in one plane at most.
/// Errors: `internal` for planes that overlap or lie outside; those of `singular_values`.
PlaneRotations nearest_plane_rotations(MatrixView<const double> m, std::span<const Plane> planes);

}  // namespace anamnesis::linalg
