// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/restore/qk_pro.hpp"

#include <algorithm>
#include <cstddef>
#include <functional>
#include <limits>
#include <span>
#include <utility>
#include <vector>

#include "anamnesis/base/check.hpp"
#include "anamnesis/base/error.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/linalg/cholesky.hpp"
#include "anamnesis/linalg/matrix_view.hpp"
#include "anamnesis/linalg/norms.hpp"
#include "anamnesis/linalg/procrustes.hpp"
#include "anamnesis/linalg/product.hpp"
#include "anamnesis/linalg/symmetric_eigen.hpp"
#include "anamnesis/restore/method.hpp"
#include "anamnesis/restore/request.hpp"

namespace anamnesis::restore {
namespace {

using linalg::Matrix;
using linalg::MatrixView;
using ConstView = MatrixView<const double>;

/// Columns of a head that are filtered at once: differences of 128 rows then stay in the cache
/// while every lambda reads them.
constexpr std::size_t panel_columns = 512;

/// D G D, with D = diag(query_gain * key_gain).
void scale_by_gains(Matrix& gram, const ProWeighting& weighting) {
    const std::size_t size = gram.rows();
    if (weighting.query_gain.size() != size || weighting.key_gain.size() != size) {
        throw Error(
            ErrorKind::unsupported,
            format("metric gain needs a gain for each row of the head: found {} for queries "
                   "and {} for keys, expected {}",
                   weighting.query_gain.size(),
                   weighting.key_gain.size(),
                   size));
    }
    std::vector<double> gains(size);
    std::ranges::transform(
        weighting.query_gain, weighting.key_gain, gains.begin(), std::multiplies<>{});
    for (std::size_t i = 0; i < size; ++i) {
        for (std::size_t j = 0; j < size; ++j) {
            gram(i, j) *= gains[i] * gains[j];
        }
    }
}

/// The average of Rot^T gram Rot over every rotation of the planes, each by an angle of its own:
/// a plane becomes the mean of its two diagonal entries, what joins it with anything else vanishes.
/// The rows in no plane keep their block. Exact, so that the filter commutes with the rotations
/// to the last bit.
linalg::SymmetricEigen averaged_eigen(const Matrix& gram, std::span<const linalg::Plane> planes) {
    const std::size_t size = gram.rows();
    linalg::SymmetricEigen result{std::vector<double>(size), Matrix::identity(size)};
    std::vector<bool> is_rotated(size, false);
    for (const auto& [a, b] : planes) {
        result.values[a] = result.values[b] = 0.5 * (gram(a, a) + gram(b, b));
        is_rotated[a] = is_rotated[b] = true;
    }
    std::vector<std::size_t> rest;
    for (std::size_t i = 0; i < size; ++i) {
        if (!is_rotated[i]) {
            rest.push_back(i);
        }
    }
    Matrix block(rest.size(), rest.size());
    for (std::size_t i = 0; i < rest.size(); ++i) {
        for (std::size_t j = 0; j < rest.size(); ++j) {
            block(i, j) = gram(rest[i], rest[j]);
        }
    }
    const linalg::SymmetricEigen inner = linalg::symmetric_eigen(block);
    for (std::size_t i = 0; i < rest.size(); ++i) {
        result.values[rest[i]] = inner.values[i];
        for (std::size_t j = 0; j < rest.size(); ++j) {
            result.vectors(rest[i], rest[j]) = inner.vectors(i, j);
        }
    }
    return result;
}

/// pre - post of some columns, scaled row by row onto post: the filter of a diagonal M.
void add_scaled_rows(std::span<const double> factors, ConstView apart, MatrixView<double> output) {
    for (std::size_t i = 0; i < output.rows(); ++i) {
        for (std::size_t j = 0; j < output.columns(); ++j) {
            output(i, j) += factors[i] * apart(i, j);
        }
    }
}

void subtract(ConstView pre, ConstView post, MatrixView<double> result) {
    for (std::size_t i = 0; i < pre.rows(); ++i) {
        for (std::size_t j = 0; j < pre.columns(); ++j) {
            result(i, j) = pre(i, j) - post(i, j);
        }
    }
}

}  // namespace

ProFilter::ProFilter(ConstView pre_key_rows, const ProWeighting& weighting) {
    if (!linalg::is_finite(pre_key_rows)) {
        throw Error(ErrorKind::unsupported,
                    "key rows of pre hold a NaN or an infinity, which leaves no filter for their "
                    "query heads");
    }
    Matrix metric = linalg::gram(pre_key_rows);
    std::vector<linalg::Plane> planes;
    if (weighting.metric == ProMetric::gain) {
        scale_by_gains(metric, weighting);
    } else if (weighting.metric == ProMetric::rope) {
        planes = rotary_planes(weighting.rotary, metric.rows());
    }
    trace_ = linalg::trace(metric);
    linalg::SymmetricEigen eigen =
        planes.empty() ? linalg::symmetric_eigen(metric) : averaged_eigen(metric, planes);
    eigenvalues_ = std::move(eigen.values);
    if (planes.size() * 2 < metric.rows()) {
        eigenvectors_ = std::move(eigen.vectors);
    }
    // What lies below is rounding of a null space. Left in, its noise would decide between pre and
    // post for every lambda near it.
    const double largest = eigenvalues_.empty() ? 0.0 : *std::ranges::max_element(eigenvalues_);
    const double tolerance =
        static_cast<double>(eigenvalues_.size()) * std::numeric_limits<double>::epsilon() * largest;
    for (double& value : eigenvalues_) {
        value = value > tolerance ? value : 0.0;
    }
}

double ProFilter::absolute_lambda(double relative) const noexcept {
    return relative * trace_ / static_cast<double>(std::max<std::size_t>(1, head_dim()));
}

std::vector<double> ProFilter::factors_for(double lambda) const {
    if (!(lambda >= 0.0)) {
        throw Error(ErrorKind::usage, format("lambda must not be negative: {}", lambda));
    }
    std::vector<double> factors(eigenvalues_);
    for (double& value : factors) {
        value = value > 0.0 ? value / (value + lambda) : 0.0;
    }
    return factors;
}

/// sum_j factor_j u_j u_j^T.
Matrix ProFilter::gain_matrix(std::span<const double> factors) const {
    Matrix scaled = eigenvectors_;
    for (std::size_t i = 0; i < scaled.rows(); ++i) {
        for (double& value : scaled.view().row(i)) {
            value *= factors[i];
        }
    }
    return linalg::product(linalg::transposed(eigenvectors_), scaled);
}

void ProFilter::apply(std::span<const double> lambdas,
                      ConstView pre,
                      ConstView post,
                      std::span<const MatrixView<double>> outputs) const {
    ANAMNESIS_CHECK(lambdas.size() == outputs.size(), "one output for each lambda");
    ANAMNESIS_CHECK(
        pre.rows() == head_dim() && post.rows() == head_dim() && pre.columns() == post.columns(),
        "query rows of another shape");
    struct Strength {
        std::vector<double> factors;
        Matrix gain;
        MatrixView<double> output;
    };
    std::vector<Strength> strengths;
    for (std::size_t i = 0; i < lambdas.size(); ++i) {
        ANAMNESIS_CHECK(outputs[i].rows() == pre.rows() && outputs[i].columns() == pre.columns(),
                        "an output of another shape");
        std::vector<double> factors = factors_for(lambdas[i]);
        const auto are_all = [&factors](double value) {
            return std::ranges::all_of(factors, [value](double factor) { return factor == value; });
        };
        // At the limits the products would round, and lose the sign of a zero.
        if (are_all(0.0) || are_all(1.0)) {
            linalg::copy(are_all(0.0) ? post : pre, outputs[i]);
            continue;
        }
        // One matrix for each lambda costs head_dim / columns of a product over the rows; going to
        // the eigenbasis first would cost a whole product more.
        Matrix gain = eigenvectors_.rows() == 0 ? Matrix() : gain_matrix(factors);
        strengths.push_back({std::move(factors), std::move(gain), outputs[i]});
    }
    if (strengths.empty()) {
        return;
    }
    Matrix scratch(pre.rows(), std::min(panel_columns, pre.columns()));
    for (std::size_t first = 0; first < pre.columns(); first += panel_columns) {
        const std::size_t count = std::min(panel_columns, pre.columns() - first);
        const MatrixView<double> apart = scratch.view().column_block(0, count);
        const ConstView post_panel = post.column_block(first, count);
        subtract(pre.column_block(first, count), post_panel, apart);
        for (const Strength& strength : strengths) {
            const MatrixView<double> output = strength.output.column_block(first, count);
            linalg::copy(post_panel, output);
            if (eigenvectors_.rows() == 0) {
                add_scaled_rows(strength.factors, apart, output);
            } else {
                linalg::multiply(1.0, strength.gain, apart, 1.0, output);
            }
        }
    }
}

Matrix naive_qk_pro(double lambda, ConstView pre_key_rows, ConstView pre, ConstView post) {
    const std::size_t hidden = pre_key_rows.columns();
    // The transpose of R^pre - W_Q^post W_K^T, as a solver with left sides wants it.
    Matrix missing = linalg::product(linalg::transposed(pre_key_rows), pre);
    linalg::multiply(-1.0, linalg::transposed(pre_key_rows), post, 1.0, missing);
    Matrix system = linalg::product(linalg::transposed(pre_key_rows), pre_key_rows);
    for (std::size_t i = 0; i < hidden; ++i) {
        system(i, i) += lambda;
    }
    const Matrix solved = linalg::solve_positive_definite(system, missing);
    Matrix rows = Matrix::from_view(post);
    linalg::multiply(1.0, pre_key_rows, solved, 1.0, rows);
    return rows;
}

}  // namespace anamnesis::restore
