// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/restore/fit.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <span>
#include <utility>
#include <vector>

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

/// post + change, where a change of zero leaves post's bits.
linalg::Matrix add(linalg::MatrixView<const double> post, linalg::Matrix change) {
    for (std::size_t i = 0; i < change.rows(); ++i) {
        for (std::size_t j = 0; j < change.columns(); ++j) {
            // Not the sum: -0 + 0 would lose a sign.
            change(i, j) = change(i, j) == 0.0 ? post(i, j) : post(i, j) + change(i, j);
        }
    }
    return change;
}

}  // namespace

void scale_moment(Moment& moment) {
    std::vector<std::span<double>> parts{moment.diagonal, moment.target.values()};
    double traces = 0.0;
    double inputs = static_cast<double>(moment.diagonal.size());
    for (const double value : moment.diagonal) {
        traces += value;
    }
    for (linalg::Matrix& matrix : moment.matrices) {
        traces += linalg::trace(matrix.view());
        inputs += static_cast<double>(matrix.rows());
        parts.push_back(matrix.values());
    }
    const bool is_finite = std::ranges::all_of(moment.matrices, [](const linalg::Matrix& matrix) {
        return linalg::is_finite(matrix.view());
    });
    if (!is_finite || !std::isfinite(traces) || !linalg::is_finite(moment.target.view())) {
        throw Error(ErrorKind::unsupported,
                    "the calibration gave a moment with NaN or infinity: post does not run "
                    "to finite values on these texts");
    }
    if (!(traces > 0.0)) {
        throw Error(ErrorKind::unsupported,
                    "the calibration gave a moment without any input; give texts in which more "
                    "is predicted");
    }
    const double factor = inputs / traces;
    for (const std::span<double> values : parts) {
        for (double& value : values) {
            value *= factor;
        }
    }
}

linalg::Matrix mix_token_rows(std::span<const double> recall,
                              std::span<const double> chains,
                              double mu,
                              linalg::MatrixView<const double> pre,
                              linalg::MatrixView<const double> post) {
    ANAMNESIS_CHECK(recall.size() == pre.rows() && chains.size() == pre.rows(),
                    "a count for each row of an embedding");
    if (mu == 0.0 || std::isinf(mu)) {
        return linalg::Matrix::from_view(mu == 0.0 ? pre : post);
    }
    const double eps = fit_ridge * (1.0 + mu);
    linalg::Matrix rows(pre.rows(), pre.columns());
    for (std::size_t i = 0; i < rows.rows(); ++i) {
        const double part = recall[i] / (recall[i] + mu * chains[i] + eps);
        for (std::size_t j = 0; j < rows.columns(); ++j) {
            const double change = part * (pre(i, j) - post(i, j));
            // Not the sum: -0 + 0 would lose a sign.
            rows(i, j) = change == 0.0 ? post(i, j) : post(i, j) + change;
        }
    }
    return rows;
}

FitFilter::FitFilter(linalg::MatrixView<const double> recall,
                     linalg::MatrixView<const double> chains,
                     const FitBalance& balance) {
    const double mu = balance.mu;
    ANAMNESIS_CHECK(recall.rows() == recall.columns() && chains.rows() == recall.rows() &&
                        chains.columns() == recall.columns(),
                    "moments of different sizes");
    if (!(mu >= 0.0)) {
        throw Error(ErrorKind::usage, format("mu {} is negative or not a number", mu));
    }
    if (mu == 0.0 || std::isinf(mu)) {
        limit_ = mu == 0.0 ? Limit::pre : Limit::post;
    }
    if (limit_ == Limit::post) {
        return;
    }
    recall_ = linalg::Matrix::from_view(recall);
    linalg::Matrix sum = recall_;
    for (std::size_t i = 0; i < sum.rows(); ++i) {
        for (std::size_t j = 0; j < sum.columns(); ++j) {
            sum(i, j) += mu * chains(i, j);
        }
    }
    const double of_all = fit_ridge * linalg::trace(sum.view()) / static_cast<double>(sum.rows());
    if (!(of_all > 0.0)) {
        // Inputs that are never there: rows stay as post has them, as those of experts do that few
        // tokens reach. The limit of mu 0 is pre all the same.
        limit_ = limit_ == Limit::none ? Limit::post : limit_;
        return;
    }
    ridge_.resize(sum.rows());
    for (std::size_t i = 0; i < sum.rows(); ++i) {
        // An input that is never there has no size of its own.
        const bool has_own = balance.scales_inputs && sum(i, i) > 0.0;
        const double eps = has_own ? fit_ridge * sum(i, i) : of_all;
        ridge_[i] = eps / (1.0 + mu);
        recall_(i, i) += ridge_[i];
        sum(i, i) += eps;
    }
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
    return add(post, std::move(rows));
}

linalg::Matrix FitFilter::apply_to_target(linalg::MatrixView<const double> target,
                                          linalg::MatrixView<const double> pre,
                                          linalg::MatrixView<const double> post) const {
    if (factor_.empty()) {
        return linalg::Matrix::from_view(limit_ == Limit::post ? post : pre);
    }
    linalg::Matrix rows(pre.rows(), pre.columns());
    for (std::size_t i = 0; i < pre.rows(); ++i) {
        for (std::size_t j = 0; j < pre.columns(); ++j) {
            rows(i, j) = target(i, j) + ridge_[j] * pre(i, j);
        }
    }
    linalg::multiply(-1.0, post, recall_, 1.0, rows.view());
    factor_.front().solve_rows(rows);
    return add(post, std::move(rows));
}

}  // namespace anamnesis::restore
