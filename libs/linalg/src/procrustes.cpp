// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/linalg/procrustes.hpp"

#include <cmath>
#include <cstddef>
#include <span>
#include <vector>

#include "anamnesis/base/check.hpp"
#include "anamnesis/base/error.hpp"
#include "anamnesis/linalg/matrix_view.hpp"
#include "anamnesis/linalg/norms.hpp"
#include "anamnesis/linalg/product.hpp"
#include "anamnesis/linalg/svd.hpp"

namespace anamnesis::linalg {
namespace {

std::vector<std::size_t> coordinates_in_no_plane(std::size_t size, std::span<const Plane> planes) {
    std::vector<bool> is_taken(size, false);
    for (const Plane& plane : planes) {
        for (const std::size_t coordinate : {plane.first, plane.second}) {
            ANAMNESIS_CHECK(coordinate < size && !is_taken[coordinate],
                            "planes overlap or lie outside the matrix");
            is_taken[coordinate] = true;
        }
    }
    std::vector<std::size_t> rest;
    for (std::size_t i = 0; i < size; ++i) {
        if (!is_taken[i]) {
            rest.push_back(i);
        }
    }
    return rest;
}

}  // namespace

Matrix nearest_orthogonal(MatrixView<const double> m) {
    ANAMNESIS_CHECK(m.rows() == m.columns(), "Procrustes of a matrix that is not square");
    const SingularValues parts = singular_values(m);
    return product(parts.left, parts.right);
}

PlaneRotations nearest_plane_rotations(MatrixView<const double> m, std::span<const Plane> planes) {
    ANAMNESIS_CHECK(m.rows() == m.columns(), "Procrustes of a matrix that is not square");
    const std::vector<std::size_t> rest = coordinates_in_no_plane(m.rows(), planes);
    if (!is_finite(m)) {
        throw Error(ErrorKind::unsupported, "Procrustes of a matrix with NaN or infinity");
    }
    PlaneRotations result{Matrix(m.rows(), m.rows()), {}};
    Matrix& O = result.orthogonal;
    for (const auto& [a, b] : planes) {
        // tr(O^T m) restricted to the plane is cos (m_aa + m_bb) + sin (m_ba - m_ab).
        const double angle = std::atan2(m(b, a) - m(a, b), m(a, a) + m(b, b));
        O(a, a) = O(b, b) = std::cos(angle);
        O(b, a) = std::sin(angle);
        O(a, b) = -O(b, a);
        result.angles.push_back(angle);
    }
    if (!rest.empty()) {
        Matrix block(rest.size(), rest.size());
        for (std::size_t i = 0; i < rest.size(); ++i) {
            for (std::size_t j = 0; j < rest.size(); ++j) {
                block(i, j) = m(rest[i], rest[j]);
            }
        }
        const Matrix turned = nearest_orthogonal(block);
        for (std::size_t i = 0; i < rest.size(); ++i) {
            for (std::size_t j = 0; j < rest.size(); ++j) {
                O(rest[i], rest[j]) = turned(i, j);
            }
        }
    }
    return result;
}

}  // namespace anamnesis::linalg
