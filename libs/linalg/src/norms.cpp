// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/linalg/norms.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <span>

#include "anamnesis/base/check.hpp"
#include "anamnesis/linalg/matrix_view.hpp"

namespace anamnesis::linalg {
namespace {

/// Sums `term(a, b)` over two rows in eight lanes: the compiler may not reorder one float sum, but
/// eight independent ones fill the vector units, and each rounds an eighth as often.
template <class Term>
double sum_in_lanes(std::span<const double> a, std::span<const double> b, Term term) {
    constexpr std::size_t lanes = 8;
    std::array<double, lanes> sums{};
    std::size_t j = 0;
    for (; j + lanes <= a.size(); j += lanes) {
        for (std::size_t lane = 0; lane < lanes; ++lane) {
            sums[lane] += term(a[j + lane], b[j + lane]);
        }
    }
    for (; j < a.size(); ++j) {
        sums[0] += term(a[j], b[j]);
    }
    return ((sums[0] + sums[4]) + (sums[1] + sums[5])) +
           ((sums[2] + sums[6]) + (sums[3] + sums[7]));
}

template <class Term>
double sum_over(MatrixView<const double> a, MatrixView<const double> b, Term term) {
    ANAMNESIS_CHECK(a.rows() == b.rows() && a.columns() == b.columns(),
                    "matrices of different shapes");
    double sum = 0.0;
    for (std::size_t i = 0; i < a.rows(); ++i) {
        sum += sum_in_lanes(a.row(i), b.row(i), term);
    }
    return sum;
}

}  // namespace

double sum_of_squares(MatrixView<const double> a) {
    return dot(a, a);
}

double sum_of_squared_differences(MatrixView<const double> a, MatrixView<const double> b) {
    return sum_over(a, b, [](double x, double y) { return (x - y) * (x - y); });
}

double frobenius_norm(MatrixView<const double> a) {
    return std::sqrt(sum_of_squares(a));
}

double dot(MatrixView<const double> a, MatrixView<const double> b) {
    return sum_over(a, b, [](double x, double y) { return x * y; });
}

double trace(MatrixView<const double> a) {
    double sum = 0.0;
    for (std::size_t i = 0; i < std::min(a.rows(), a.columns()); ++i) {
        sum += a(i, i);
    }
    return sum;
}

bool is_finite(MatrixView<const double> a) {
    for (std::size_t i = 0; i < a.rows(); ++i) {
        for (const double value : a.row(i)) {
            if (!std::isfinite(value)) {
                return false;
            }
        }
    }
    return true;
}

Matrix difference(MatrixView<const double> a, MatrixView<const double> b) {
    ANAMNESIS_CHECK(a.rows() == b.rows() && a.columns() == b.columns(),
                    "matrices of different shapes");
    Matrix result(a.rows(), a.columns());
    for (std::size_t i = 0; i < a.rows(); ++i) {
        for (std::size_t j = 0; j < a.columns(); ++j) {
            result(i, j) = a(i, j) - b(i, j);
        }
    }
    return result;
}

}  // namespace anamnesis::linalg
