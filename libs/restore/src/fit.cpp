// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/restore/fit.hpp"

#include <cmath>
#include <cstddef>
#include <utility>

#include "anamnesis/base/check.hpp"
#include "anamnesis/base/error.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/linalg/cholesky.hpp"
#include "anamnesis/linalg/matrix_view.hpp"
#include "anamnesis/linalg/norms.hpp"
#include "anamnesis/linalg/product.hpp"
#include "anamnesis/restore/moments.hpp"

namespace anamnesis::restore {
namespace {

void add_to_diagonal(linalg::Matrix& m, double value) {
    for (std::size_t i = 0; i < m.rows(); ++i) {
        m(i, i) += value;
    }
}

}  // namespace

void scale_moment(Moment& moment) {
    double traces = 0.0;
    for (const linalg::Matrix& matrix : moment) {
        if (!linalg::is_finite(matrix.view())) {
            throw Error(ErrorKind::unsupported,
                        "the calibration gave a moment with NaN or infinity: post does not run "
                        "to finite values on these texts");
        }
        traces += linalg::trace(matrix.view());
    }
    if (!(traces > 0.0)) {
        throw Error(ErrorKind::unsupported,
                    "the calibration gave a moment without any input; give texts in which more "
                    "is predicted");
    }
    const double factor =
        static_cast<double>(moment.size()) * static_cast<double>(moment.front().rows()) / traces;
    for (linalg::Matrix& matrix : moment) {
        for (double& value : matrix.values()) {
            value *= factor;
        }
    }
}

FitFilter::FitFilter(linalg::MatrixView<const double> recall,
                     linalg::MatrixView<const double> chains,
                     double mu) {
    ANAMNESIS_CHECK(recall.rows() == recall.columns() && chains.rows() == recall.rows() &&
                        chains.columns() == recall.columns(),
                    "moments of different sizes");
    if (!(mu >= 0.0)) {
        throw Error(ErrorKind::usage, format("mu {} is negative or not a number", mu));
    }
    if (mu == 0.0 || std::isinf(mu)) {
        limit_ = mu == 0.0 ? Limit::pre : Limit::post;
        return;
    }
    recall_ = linalg::Matrix::from_view(recall);
    linalg::Matrix sum = recall_;
    for (std::size_t i = 0; i < sum.rows(); ++i) {
        for (std::size_t j = 0; j < sum.columns(); ++j) {
            sum(i, j) += mu * chains(i, j);
        }
    }
    const double eps = fit_ridge * linalg::trace(sum.view()) / static_cast<double>(sum.rows());
    add_to_diagonal(recall_, eps / (1.0 + mu));
    add_to_diagonal(sum, eps);
    factor_.emplace_back(std::move(sum));
}

linalg::Matrix FitFilter::apply(linalg::MatrixView<const double> pre,
                                linalg::MatrixView<const double> post) const {
    if (limit_ != Limit::none) {
        return linalg::Matrix::from_view(limit_ == Limit::pre ? pre : post);
    }
    linalg::Matrix difference(pre.rows(), pre.columns());
    for (std::size_t i = 0; i < pre.rows(); ++i) {
        for (std::size_t j = 0; j < pre.columns(); ++j) {
            difference(i, j) = pre(i, j) - post(i, j);
        }
    }
    linalg::Matrix rows = linalg::product(difference, recall_);
    factor_.front().solve_rows(rows);
    for (std::size_t i = 0; i < rows.rows(); ++i) {
        for (std::size_t j = 0; j < rows.columns(); ++j) {
            // Not the sum: -0 + 0 would lose a sign.
            rows(i, j) = rows(i, j) == 0.0 ? post(i, j) : post(i, j) + rows(i, j);
        }
    }
    return rows;
}

}  // namespace anamnesis::restore
