// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/linalg/inertia.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <vector>

#include <gtest/gtest.h>

#include "anamnesis/base/error.hpp"
#include "anamnesis/linalg/cholesky.hpp"
#include "anamnesis/linalg/matrix_view.hpp"
#include "anamnesis/linalg/product.hpp"
#include "anamnesis/linalg/symmetric_eigen.hpp"

#include "random_matrix.hpp"

namespace anamnesis::linalg {
namespace {

TEST(Inertia, CountsTheEigenvaluesThatLieAboveABound) {
    for (const std::size_t size : {1U, 2U, 7U, 40U, 130U}) {
        // Both signs, and an indefinite matrix, which has blocks of two.
        Matrix m = random_matrix(size, size, 3 + size);
        for (std::size_t i = 0; i < size; ++i) {
            for (std::size_t j = 0; j < i; ++j) {
                m(i, j) = m(j, i);
            }
        }
        const std::vector<double> values = symmetric_eigen(m.view()).values;
        for (const double bound : {-1e9, -3.0, -0.2, 0.0, 0.4, 2.0, 1e9}) {
            const auto above = static_cast<std::size_t>(
                std::ranges::count_if(values, [&](double value) { return value > bound; }));
            EXPECT_EQ(count_eigenvalues_above(m, bound), above) << size << ", " << bound;
        }
    }
}

TEST(Inertia, IsTheRankOfAGramMatrix) {
    const Matrix few = random_matrix(60, 17, 5);
    EXPECT_EQ(count_eigenvalues_above(gram(few.view()), 1e-9), 17U);
    EXPECT_EQ(count_eigenvalues_above(Matrix(), 0.0), 0U);
    Matrix odd(2, 2);
    odd(0, 1) = std::numeric_limits<double>::quiet_NaN();
    EXPECT_THROW(count_eigenvalues_above(odd, 0.0), Error);
}

TEST(CholeskyCondition, IsThatOfTheMatrixInTheOneNorm) {
    Matrix diagonal(3, 3);
    diagonal(0, 0) = 100.0;
    diagonal(1, 1) = 5.0;
    diagonal(2, 2) = 0.01;
    EXPECT_NEAR(CholeskyFactor(diagonal).estimate_condition(), 1e4, 1e-6);
    const Matrix samples = random_matrix(30, 45, 9);
    const Matrix m = gram(samples.view());
    const Matrix identity = Matrix::identity(30);
    const Matrix inverse = solve_positive_definite(m.view(), identity.view());
    const auto norm = [](const Matrix& of) {
        double largest = 0.0;
        for (std::size_t i = 0; i < of.rows(); ++i) {
            double sum = 0.0;
            for (const double value : of.view().row(i)) {
                sum += std::abs(value);
            }
            largest = std::max(largest, sum);
        }
        return largest;
    };
    const double exact = norm(m) * norm(inverse);
    const double estimate = CholeskyFactor(m).estimate_condition();
    EXPECT_LE(estimate, exact * (1.0 + 1e-9));
    EXPECT_GE(estimate, exact / 3.0);
}

}  // namespace
}  // namespace anamnesis::linalg
