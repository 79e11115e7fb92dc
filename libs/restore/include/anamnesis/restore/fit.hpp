// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "anamnesis/linalg/cholesky.hpp"
#include "anamnesis/linalg/matrix_view.hpp"
#include "anamnesis/restore/moments.hpp"

namespace anamnesis::restore {

/// The ridge of `fit`, relative to the mean diagonal of S_R + mu S_C.
inline constexpr double fit_ridge = 1e-4;

/// Scales a moment so that its trace is its size; with a matrix for each head, so that the mean of
/// the traces is.
/// Errors: `unsupported` for a NaN, an infinity, and for a moment without any input.
void scale_moment(Moment& moment);

/// The calibrated repair for rows that share their inputs: of all matrices the one that comes
/// nearest to pre's outputs on recall inputs and to post's on chains,
///
///     W = post + (pre - post) (S_R + eps / (1 + mu) I) (A + eps I)^-1,   A = S_R + mu S_C,
///
/// with eps = fit_ridge trace(A) / n. mu = 0 gives pre and an infinite mu post, bit for bit; where
/// a value of pre is post's in the whole row, it stays.
///
/// Shapes:  S_R and S_C [n, n], scaled (`scale_moment`); pre, post and the result [rows, n].
/// Errors:  `usage` for a mu that is negative or NaN.
/// Cost:    n^3 / 3 operations to make, 4 n^2 for each row.
/// Threads: const functions may run at once.
/// Source:  docs/method.md, "Fit".
class FitFilter {
public:
    FitFilter(linalg::MatrixView<const double> recall,
              linalg::MatrixView<const double> chains,
              double mu);

    linalg::Matrix apply(linalg::MatrixView<const double> pre,
                         linalg::MatrixView<const double> post) const;

private:
    enum class Limit : unsigned char { none, pre, post };

    Limit limit_ = Limit::none;
    linalg::Matrix recall_;                       ///< S_R + eps / (1 + mu) I
    std::vector<linalg::CholeskyFactor> factor_;  ///< of A + eps I; empty at a limit
};

}  // namespace anamnesis::restore
