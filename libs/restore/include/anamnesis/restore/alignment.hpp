// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <vector>

#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/linalg/matrix_view.hpp"
#include "anamnesis/linalg/procrustes.hpp"

namespace anamnesis::restore {

/// A change of basis inside the heads of one routing group that leaves its logits alone: stored
/// rows X become O^T X, for the query heads and the key head alike.
struct Gauge {
    linalg::Matrix orthogonal;   ///< O [head_dim, head_dim]; without rotary it may reflect
    std::vector<double> angles;  ///< of the rotary pairs, in their order; empty without rotary

    /// O^T rows. Shapes: rows and output [head_dim, columns], not overlapping.
    void apply(linalg::MatrixView<const double> rows, linalg::MatrixView<double> output) const;

    /// ||O^T pre - post||_F^2 of one head.
    double misfit(linalg::MatrixView<const double> pre,
                  linalg::MatrixView<const double> post) const;
};

/// Finds the gauge in which pre lies nearest to post: minimises sum ||O^T X_pre - X_post||_F^2 over
/// the heads that were added. Without rotary pairs O is any orthogonal matrix; with them it
/// commutes with position encoding: one angle for each pair, any orthogonal matrix on rows not
/// rotated. There is no gauge where QK-norm has unequal gains; the caller asks before.
///
/// Threads: none shared; one fit belongs to one thread.
class GaugeFit {
public:
    /// Errors: those of `rotary_planes`.
    GaugeFit(std::size_t head_dim, const checkpoint::RotaryLayout& rotary);

    /// Shapes: pre and post [head_dim, columns]; columns may differ between heads.
    /// Cost:   2 head_dim^2 columns operations.
    void add(linalg::MatrixView<const double> pre, linalg::MatrixView<const double> post);

    /// Errors: `unsupported` where a NaN or an infinity was added.
    /// Source: orthogonal Procrustes, `linalg::nearest_orthogonal`.
    Gauge solve() const;

private:
    linalg::Matrix moment_;
    std::vector<linalg::Plane> planes_;
};

}  // namespace anamnesis::restore
