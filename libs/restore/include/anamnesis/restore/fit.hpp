// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <vector>

#include "anamnesis/linalg/cholesky.hpp"
#include "anamnesis/linalg/matrix_view.hpp"
#include "anamnesis/restore/moments.hpp"

namespace anamnesis::restore {

/// The ridge of `fit`, relative to the mean diagonal of S_R + mu S_C.
inline constexpr double fit_ridge = 1e-4;

/// How strongly chains hold a fit, and what its ridge is relative to.
struct FitBalance {
    double mu = 0.0;  ///< weight of chains against recall
    /// Each input has a ridge of its own, relative to its diagonal in S_R + mu S_C: as if inputs
    /// were scaled to one size before.
    bool scales_inputs = false;
};

/// Scales a moment so that its trace is its size; with a matrix for each head or expert, so that
/// the mean of the traces is. Errors: `unsupported` for a NaN, an infinity, and for a moment
/// without any input.
void scale_moment(Moment& moment);

/// The calibrated repair for rows that share their inputs: of all matrices the one that comes
/// nearest to pre's outputs on recall inputs and to post's on chains,
///
///     W = post + (pre - post) (S_R + eps / (1 + mu) I) (A + eps I)^-1,   A = S_R + mu S_C,
///
/// with eps = fit_ridge trace(A) / n; where inputs are scaled, eps I is fit_ridge times the
/// diagonal of A. mu = 0 gives pre and an infinite mu post, bit for bit; where a value of pre is
/// post's in the whole row, it stays.
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
              const FitBalance& balance);

    linalg::Matrix apply(linalg::MatrixView<const double> pre,
                         linalg::MatrixView<const double> post) const;

    /// The same with outputs of pre that its matrix does not give on these inputs:
    ///
    ///     W = (Y + mu post S_C + eps (pre + mu post) / (1 + mu)) (A + eps I)^-1,
    ///
    /// which for Y = pre S_R is the other. mu = 0 is the solution for recall alone.
    /// Shapes: target Y [rows, n], scaled as S_R.
    linalg::Matrix apply_to_target(linalg::MatrixView<const double> target,
                                   linalg::MatrixView<const double> pre,
                                   linalg::MatrixView<const double> post) const;

private:
    enum class Limit : unsigned char { none, pre, post };

    Limit limit_ = Limit::none;
    linalg::Matrix recall_;                       ///< S_R + eps / (1 + mu) I
    std::vector<double> ridge_;                   ///< the diagonal of eps / (1 + mu) I
    std::vector<linalg::CholeskyFactor> factor_;  ///< of A + eps I; empty where mu is infinite
};

/// The same for rows of an embedding, whose inputs are tokens: each row is mixed alone,
///
///     row = post + r / (r + mu c + eps) (pre - post),   eps = fit_ridge (1 + mu).
///
/// Without the ridge in the numerator a token that no recall text has stays post's.
/// Shapes: recall and chains [rows], scaled counts of all tokens cut to these; pre, post and the
///         result [rows, n].
linalg::Matrix mix_token_rows(std::span<const double> recall,
                              std::span<const double> chains,
                              double mu,
                              linalg::MatrixView<const double> pre,
                              linalg::MatrixView<const double> post);

}  // namespace anamnesis::restore
