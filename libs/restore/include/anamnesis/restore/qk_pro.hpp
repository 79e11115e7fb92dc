// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/linalg/matrix_view.hpp"
#include "anamnesis/restore/request.hpp"

namespace anamnesis::restore {

/// What weighs the directions of a query head beside the key rows themselves.
struct ProWeighting {
    ProMetric metric = ProMetric::gram;
    checkpoint::RotaryLayout rotary{};        ///< read by ProMetric::rope
    std::span<const double> query_gain = {};  ///< [head_dim], read by ProMetric::gain:
    std::span<const double> key_gain = {};  ///< the factors themselves, also where 1 is stored off
};

/// QK-Pro for the query heads that share one block of key rows.
///
/// With M = sum_j s_j u_j u_j^T the matrix of the metric, a query head becomes
///
///     rows = post + sum_j s_j / (s_j + lambda) u_j u_j^T (pre - post)
///
/// where M is G = K K^T for `gram` (K the key rows of pre), G averaged over all rotations of the
/// rotary pairs for `rope`, and D G D with D = diag(query_gain * key_gain) for `gain`. One
/// eigendecomposition serves every head of the group and every lambda.
///
/// Shapes:  key rows [head_dim, hidden]; with biases one column more, in keys and queries alike.
///          Query rows need not have as many columns as key rows (MLA).
/// Units:   lambda has those of M, weights squared; see `absolute_lambda`.
/// Errors:  `unsupported` for key rows with a NaN or an infinity, for gains of another length;
///          `exhausted` if the eigendecomposition does not converge.
/// Threads: const functions may run at once. A caller with threads of its own tells BLAS to use one
///          (`linalg::set_blas_threads`).
/// Source:  Zhou et al. 2026, arXiv 2606.11052, QK-Pro; the push-through identity of
/// docs/method.md, "QK-Pro".
class ProFilter {
public:
    ProFilter(linalg::MatrixView<const double> pre_key_rows, const ProWeighting& weighting);

    std::size_t head_dim() const noexcept { return eigenvalues_.size(); }
    /// Of M, in no order. Those that rounding alone can account for are zero, never negative.
    std::span<const double> eigenvalues() const& noexcept { return eigenvalues_; }
    std::span<const double> eigenvalues() const&& = delete;

    /// relative * trace(M) / head_dim.
    double absolute_lambda(double relative) const noexcept;

    /// Filters one query head, once for each lambda (absolute) into the output of the same place.
    /// Lambda 0 gives pre on the range of M and post on its null space, infinity gives post; where
    /// that is all of either, bit for bit. A NaN in query rows spreads over its column.
    ///
    /// Shapes: pre, post and each output [head_dim, columns]; outputs overlap nothing.
    /// Errors: `usage` for a lambda that is negative or NaN.
    /// Cost:   2 head_dim^2 columns operations per lambda (head_dim columns where M is diagonal);
    ///         memory for head_dim * (512 + head_dim per lambda) values.
    void apply(std::span<const double> lambdas,
               linalg::MatrixView<const double> pre,
               linalg::MatrixView<const double> post,
               std::span<const linalg::MatrixView<double>> outputs) const;

private:
    std::vector<double> factors_for(double lambda) const;
    linalg::Matrix gain_matrix(std::span<const double> factors) const;

    std::vector<double> eigenvalues_;
    linalg::Matrix eigenvectors_;  ///< row j belongs to eigenvalue j; empty where M is diagonal
    double trace_ = 0.0;
};

/// The same as the paper writes it, with a hidden x hidden inverse for each head and lambda:
/// W_Q = W_Q^post + (R^pre - W_Q^post W_K^T) (W_K W_K^T + lambda I)^-1 W_K, lambda > 0.
///
/// Shapes: all [head_dim, hidden].   Cost: O(hidden^3), five matrices of hidden x hidden.
/// Errors: `unsupported` where lambda is too small for a Cholesky factor in float64.
linalg::Matrix naive_qk_pro(double lambda,
                            linalg::MatrixView<const double> pre_key_rows,
                            linalg::MatrixView<const double> pre,
                            linalg::MatrixView<const double> post);

}  // namespace anamnesis::restore
