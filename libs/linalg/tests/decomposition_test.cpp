// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <numbers>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "anamnesis/base/error.hpp"
#include "anamnesis/linalg/cholesky.hpp"
#include "anamnesis/linalg/matrix_view.hpp"
#include "anamnesis/linalg/norms.hpp"
#include "anamnesis/linalg/procrustes.hpp"
#include "anamnesis/linalg/product.hpp"
#include "anamnesis/linalg/svd.hpp"
#include "anamnesis/linalg/symmetric_eigen.hpp"

#include "random_matrix.hpp"

namespace anamnesis::linalg {
namespace {

double distance_from_identity(MatrixView<const double> m) {
    const Matrix identity = Matrix::identity(m.rows());
    return largest_difference(m, identity);
}

Matrix scaled_rows(const Matrix& rows, const std::vector<double>& factors) {
    Matrix result = Matrix::from_view(rows);
    for (std::size_t i = 0; i < result.rows(); ++i) {
        for (double& value : result.view().row(i)) {
            value *= factors[i];
        }
    }
    return result;
}

TEST(SymmetricEigen, PutsTheMatrixTogetherAgain) {
    for (const std::size_t size : {1U, 2U, 8U, 33U, 128U}) {
        const Matrix rows = random_matrix(size, size + 3, size);
        const Matrix m = gram(rows);
        const SymmetricEigen eigen = symmetric_eigen(m);
        EXPECT_TRUE(std::ranges::is_sorted(eigen.values));
        const Matrix unit = gram(eigen.vectors);
        EXPECT_LT(distance_from_identity(unit), 1e-12);
        const Matrix scaled = scaled_rows(eigen.vectors, eigen.values);
        const Matrix again = product(transposed(eigen.vectors), scaled);
        EXPECT_LT(largest_difference(again, m), 1e-12 * frobenius_norm(m));
    }
}

TEST(SymmetricEigen, ReadsTheUpperTriangle) {
    Matrix m(2, 2);
    m(0, 0) = m(1, 1) = 2.0;
    m(0, 1) = 1.0;
    m(1, 0) = 77.0;
    const SymmetricEigen eigen = symmetric_eigen(m);
    EXPECT_NEAR(eigen.values[0], 1.0, 1e-15);
    EXPECT_NEAR(eigen.values[1], 3.0, 1e-15);
}

TEST(SymmetricEigen, RefusesNan) {
    Matrix m(3, 3);
    m(0, 2) = std::numeric_limits<double>::quiet_NaN();
    try {
        static_cast<void>(symmetric_eigen(m));
        FAIL() << "took a NaN";
    } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::unsupported);
    }
    EXPECT_THROW(static_cast<void>(singular_values(m)), Error);
    EXPECT_THROW(static_cast<void>(nearest_orthogonal(m)), Error);
    EXPECT_THROW(static_cast<void>(nearest_plane_rotations(m, {})), Error);
}

TEST(SolvePositiveDefinite, LeavesNoResidual) {
    const Matrix rows = random_matrix(12, 20, 1);
    const Matrix m = gram(rows);
    const Matrix right = random_matrix(12, 5, 2);
    const Matrix x = solve_positive_definite(m, right);
    const Matrix again = product(m, x);
    EXPECT_LT(largest_difference(again, right), 1e-11);
    Matrix indefinite = Matrix::identity(3);
    indefinite(1, 1) = -1.0;
    EXPECT_THROW(static_cast<void>(solve_positive_definite(indefinite, indefinite)), Error);
}

TEST(SingularValues, PutTheMatrixTogetherAgain) {
    for (const auto& [rows, columns] :
         {std::array<std::size_t, 2>{5, 5}, {9, 4}, {4, 9}, {1, 6}, {64, 100}}) {
        const Matrix a = random_matrix(rows, columns, rows);
        const SingularValues parts = singular_values(a);
        EXPECT_TRUE(std::ranges::is_sorted(parts.values, std::greater<>{}));
        const Matrix scaled = scaled_rows(parts.right, parts.values);
        const Matrix again = product(parts.left, scaled);
        EXPECT_LT(largest_difference(again, a), 1e-12);
    }
}

TEST(NearestOrthogonal, FindsTheRotationThatWasApplied) {
    const Matrix seed = random_matrix(8, 8, 1);
    const Matrix O = nearest_orthogonal(seed);
    const Matrix unit = gram(O);
    EXPECT_LT(distance_from_identity(unit), 1e-13);
    const Matrix x = random_matrix(30, 8, 2);
    const Matrix y = product(x, O);
    const Matrix moment = product(transposed(x), y);
    const Matrix found = nearest_orthogonal(moment);
    EXPECT_LT(largest_difference(found, O), 1e-12);
}

TEST(NearestOrthogonal, NoOtherOrthogonalMatrixFitsBetter) {
    const Matrix m = random_matrix(6, 6, 3);
    const Matrix best = nearest_orthogonal(m);
    for (std::uint64_t seed = 10; seed < 60; ++seed) {
        const Matrix start = random_matrix(6, 6, seed);
        const Matrix other = nearest_orthogonal(start);
        EXPECT_LE(dot(other, m), dot(best, m));
    }
}

/// A grid of angles finds no better one: the formula's sign and scale are right.
TEST(NearestPlaneRotations, NoOtherAngleFitsBetter) {
    const Matrix m = random_matrix(4, 4, 5);
    const std::array planes{Plane{0, 2}, Plane{1, 3}};
    const PlaneRotations best = nearest_plane_rotations(m, planes);
    const double value = dot(best.orthogonal, m);
    constexpr int steps = 180;
    for (int i = 0; i < steps; ++i) {
        for (int j = 0; j < steps; ++j) {
            Matrix O(4, 4);
            for (const auto& [plane, step] : {std::pair{planes[0], i}, std::pair{planes[1], j}}) {
                const double angle = 2.0 * std::numbers::pi * step / steps;
                O(plane.first, plane.first) = O(plane.second, plane.second) = std::cos(angle);
                O(plane.second, plane.first) = std::sin(angle);
                O(plane.first, plane.second) = -std::sin(angle);
            }
            ASSERT_LE(dot(O, m), value + 1e-12);
        }
    }
}

TEST(NearestPlaneRotations, CommutesWithRotationsOfItsPlanesAndTurnsTheRest) {
    const Matrix m = random_matrix(7, 7, 6);
    const std::array planes{Plane{1, 2}, Plane{3, 4}};
    const Matrix O = nearest_plane_rotations(m, planes).orthogonal;
    const Matrix unit = gram(O);
    EXPECT_LT(distance_from_identity(unit), 1e-13);
    Matrix turn = Matrix::identity(7);
    turn(1, 1) = turn(2, 2) = std::cos(0.7);
    turn(1, 2) = -std::sin(0.7);
    turn(2, 1) = std::sin(0.7);
    turn(3, 3) = turn(4, 4) = std::cos(2.1);
    turn(3, 4) = -std::sin(2.1);
    turn(4, 3) = std::sin(2.1);
    const Matrix left = product(O, turn);
    const Matrix right = product(turn, O);
    EXPECT_LT(largest_difference(left, right), 1e-14);
    EXPECT_NE(O(0, 5), 0.0);
    EXPECT_EQ(O(0, 1), 0.0);
    EXPECT_EQ(O(4, 6), 0.0);
}

TEST(NearestPlaneRotations, RefusesPlanesThatOverlap) {
    const Matrix m = Matrix::identity(4);
    EXPECT_THROW(static_cast<void>(nearest_plane_rotations(m, std::array{Plane{0, 0}})), Error);
    EXPECT_THROW(static_cast<void>(nearest_plane_rotations(m, std::array{Plane{0, 4}})), Error);
}

}  // namespace
}  // namespace anamnesis::linalg
