// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/restore/alignment.hpp"

#include <cstddef>
#include <utility>

#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/linalg/matrix_view.hpp"
#include "anamnesis/linalg/norms.hpp"
#include "anamnesis/linalg/procrustes.hpp"
#include "anamnesis/linalg/product.hpp"
#include "anamnesis/restore/method.hpp"

namespace anamnesis::restore {

void Gauge::apply(linalg::MatrixView<const double> rows, linalg::MatrixView<double> output) const {
    linalg::multiply(1.0, linalg::transposed(orthogonal), rows, 0.0, output);
}

double Gauge::misfit(linalg::MatrixView<const double> pre,
                     linalg::MatrixView<const double> post) const {
    // ||pre||^2 + ||post||^2 - 2 <M, O> needs no product, and cancels where the fit is good.
    linalg::Matrix turned(pre.rows(), pre.columns());
    apply(pre, turned);
    return linalg::sum_of_squared_differences(turned, post);
}

GaugeFit::GaugeFit(std::size_t head_dim, const checkpoint::RotaryLayout& rotary)
    : moment_(head_dim, head_dim), planes_(rotary_planes(rotary, head_dim)) {}

void GaugeFit::add(linalg::MatrixView<const double> pre, linalg::MatrixView<const double> post) {
    linalg::multiply(1.0, pre, linalg::transposed(post), 1.0, moment_);
}

Gauge GaugeFit::solve() const {
    linalg::PlaneRotations best = linalg::nearest_plane_rotations(moment_, planes_);
    return {std::move(best.orthogonal), std::move(best.angles)};
}

}  // namespace anamnesis::restore
