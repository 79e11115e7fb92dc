// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/linalg/cholesky.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <utility>
#include <vector>

#include "anamnesis/base/check.hpp"
#include "anamnesis/base/error.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/linalg/matrix_view.hpp"
#include "anamnesis/linalg/norms.hpp"

#include "blas.hpp"

namespace anamnesis::linalg {

CholeskyFactor::CholeskyFactor(Matrix m) : factor_(std::move(m)) {
    ANAMNESIS_CHECK(factor_.rows() == factor_.columns(), "a Cholesky factor of no square matrix");
    if (!is_finite(factor_.view())) {
        throw Error(ErrorKind::unsupported, "a Cholesky factor of a matrix with NaN or infinity");
    }
    for (std::size_t i = 0; i < factor_.rows(); ++i) {
        double sum = 0.0;
        for (const double value : factor_.view().row(i)) {
            sum += std::abs(value);
        }
        norm_ = std::max(norm_, sum);
    }
    const int n = blas_size(factor_.rows());
    const int leading = leading_dimension(factor_.rows());
    int info = 0;
    dpotrf_("L", &n, factor_.values().data(), &leading, &info);
    ANAMNESIS_CHECK(info >= 0, "dpotrf refused an argument");
    if (info > 0) {
        throw Error(ErrorKind::unsupported,
                    format("matrix of size {} is not positive definite at minor {}", n, info));
    }
}

void CholeskyFactor::solve_rows(Matrix& rows) const {
    ANAMNESIS_CHECK(rows.columns() == factor_.rows(), "rows do not fit the factor");
    if (rows.rows() == 0) {
        return;
    }
    // To Fortran our rows are columns, and m is its own transpose.
    const int n = blas_size(factor_.rows());
    const int right_sides = blas_size(rows.rows());
    const int leading = leading_dimension(factor_.rows());
    int info = 0;
    dpotrs_("L",
            &n,
            &right_sides,
            factor_.values().data(),
            &leading,
            rows.values().data(),
            &leading,
            &info);
    ANAMNESIS_CHECK(info == 0, "dpotrs refused an argument");
}

double CholeskyFactor::estimate_condition() const {
    const int n = blas_size(factor_.rows());
    const int leading = leading_dimension(factor_.rows());
    double reciprocal = 1.0;
    std::vector<double> work(3 * factor_.rows());
    std::vector<int> integer_work(factor_.rows());
    int info = 0;
    dpocon_("L",
            &n,
            factor_.values().data(),
            &leading,
            &norm_,
            &reciprocal,
            work.data(),
            integer_work.data(),
            &info);
    ANAMNESIS_CHECK(info == 0, "dpocon refused an argument");
    return 1.0 / reciprocal;
}

Matrix solve_positive_definite(MatrixView<const double> m, MatrixView<const double> right) {
    ANAMNESIS_CHECK(m.rows() == m.columns() && m.rows() == right.rows(),
                    "shapes of a linear system do not fit");
    const CholeskyFactor factor(Matrix::from_view(m));
    Matrix transposed(right.columns(), right.rows());
    for (std::size_t i = 0; i < right.rows(); ++i) {
        for (std::size_t j = 0; j < right.columns(); ++j) {
            transposed(j, i) = right(i, j);
        }
    }
    factor.solve_rows(transposed);
    Matrix result(right.rows(), right.columns());
    for (std::size_t i = 0; i < right.rows(); ++i) {
        for (std::size_t j = 0; j < right.columns(); ++j) {
            result(i, j) = transposed(j, i);
        }
    }
    return result;
}

}  // namespace anamnesis::linalg
