// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/linalg/product.hpp"

#include <cmath>
#include <cstddef>
#include <limits>
#include <tuple>

#include <gtest/gtest.h>

#include "anamnesis/base/error.hpp"
#include "anamnesis/linalg/matrix_view.hpp"
#include "anamnesis/linalg/norms.hpp"

#include "random_matrix.hpp"

namespace anamnesis::linalg {
namespace {

using Sizes = std::tuple<std::size_t, std::size_t, std::size_t>;
class ProductSizes : public testing::TestWithParam<Sizes> {};

TEST_P(ProductSizes, AgreesWithTheNaiveTwinInAllFourTranspositions) {
    const auto [m, k, n] = GetParam();
    for (const bool a_is_transposed : {false, true}) {
        for (const bool b_is_transposed : {false, true}) {
            const Matrix a = a_is_transposed ? random_matrix(k, m, 1) : random_matrix(m, k, 1);
            const Matrix b = b_is_transposed ? random_matrix(n, k, 2) : random_matrix(k, n, 2);
            const Operand left = a_is_transposed ? transposed(a) : Operand(a);
            const Operand right = b_is_transposed ? transposed(b) : Operand(b);
            Matrix fast = random_matrix(m, n, 3);
            Matrix slow = Matrix::from_view(fast);
            multiply(1.5, left, right, -0.5, fast);
            naive_multiply(1.5, left, right, -0.5, slow);
            EXPECT_LT(largest_difference(fast, slow), 1e-12);
        }
    }
}

TEST_P(ProductSizes, GramAgreesWithTheNaiveTwinAndIsSymmetric) {
    const auto [m, k, n] = GetParam();
    const Matrix a = random_matrix(m, k, 4);
    const Matrix fast = gram(a);
    const Matrix slow = naive_gram(a);
    EXPECT_LT(largest_difference(fast, slow), 1e-12);
    for (std::size_t i = 0; i < m; ++i) {
        for (std::size_t j = 0; j < m; ++j) {
            EXPECT_EQ(fast(i, j), fast(j, i));
        }
    }
}

INSTANTIATE_TEST_SUITE_P(Product,
                         ProductSizes,
                         testing::Values(Sizes{1, 1, 1},
                                         Sizes{3, 5, 7},
                                         Sizes{16, 1, 9},
                                         Sizes{33, 64, 17},
                                         Sizes{2, 0, 3},
                                         Sizes{0, 4, 3}));

TEST(Product, WorksInsideLargerMatrices) {
    const Matrix whole = random_matrix(8, 10, 5);
    const MatrixView<const double> a = whole.view().row_block(2, 3).column_block(1, 4);
    const MatrixView<const double> b = whole.view().row_block(1, 4).column_block(5, 5);
    Matrix fast = random_matrix(6, 9, 6);
    Matrix slow = Matrix::from_view(fast);
    multiply(1.0, a, b, 0.0, fast.view().row_block(1, 3).column_block(2, 5));
    naive_multiply(1.0, a, b, 0.0, slow.view().row_block(1, 3).column_block(2, 5));
    EXPECT_LT(largest_difference(fast, slow), 1e-13);
    EXPECT_EQ(fast(0, 0), slow(0, 0));
    EXPECT_EQ(fast(1, 1), slow(1, 1));
}

TEST(Product, DoesNotReadTheResultWhenBetaIsZero) {
    Matrix c(2, 2);
    c(0, 1) = std::numeric_limits<double>::quiet_NaN();
    const Matrix identity = Matrix::identity(2);
    multiply(1.0, identity, identity, 0.0, c);
    EXPECT_EQ(c(0, 1), 0.0);
}

TEST(Product, RefusesShapesThatDoNotFit) {
    const Matrix a(2, 3);
    const Matrix b(4, 2);
    Matrix c(2, 2);
    EXPECT_THROW(multiply(1.0, a, b, 0.0, c), Error);
    EXPECT_THROW(c.view().row_block(1, 2), Error);
}

TEST(Norms, SumsEveryElementOnce) {
    for (const std::size_t columns : {1U, 7U, 8U, 9U, 100U}) {
        const Matrix a = random_matrix(3, columns, 7);
        const Matrix b = random_matrix(3, columns, 8);
        double squares = 0.0;
        double products = 0.0;
        double distances = 0.0;
        for (std::size_t i = 0; i < a.values().size(); ++i) {
            squares += a.values()[i] * a.values()[i];
            products += a.values()[i] * b.values()[i];
            distances += std::pow(a.values()[i] - b.values()[i], 2);
        }
        EXPECT_NEAR(sum_of_squares(a), squares, 1e-12 * squares);
        EXPECT_NEAR(frobenius_norm(a), std::sqrt(squares), 1e-12 * squares);
        EXPECT_NEAR(dot(a, b), products, 1e-12 * squares);
        EXPECT_NEAR(sum_of_squared_differences(a, b), distances, 1e-12 * distances);
        const Matrix apart = difference(a, b);
        EXPECT_NEAR(sum_of_squares(apart), distances, 1e-12 * distances);
    }
    const Matrix identity = Matrix::identity(5);
    EXPECT_EQ(trace(identity), 5.0);
}

TEST(Norms, NanAndInfinityShow) {
    Matrix a(2, 20);
    EXPECT_TRUE(is_finite(a));
    a(1, 19) = std::numeric_limits<double>::infinity();
    EXPECT_FALSE(is_finite(a));
    EXPECT_FALSE(std::isfinite(sum_of_squares(a)));
    a(1, 19) = std::numeric_limits<double>::quiet_NaN();
    EXPECT_FALSE(is_finite(a));
}

}  // namespace
}  // namespace anamnesis::linalg
