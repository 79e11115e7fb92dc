// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/linalg/matrix_view.hpp"

namespace anamnesis::restore {

/// Relative Frobenius drift ||post - pre|| / ||pre||, fed block by block.
///
/// Pairs in which either value is NaN or infinite are left out and counted, so that one planted
/// NaN does not hide the drift of a layer.
struct DriftSums {
    double difference = 0.0;    ///< sum of (post - pre)^2
    double reference = 0.0;     ///< sum of pre^2
    std::uint64_t count = 0;    ///< pairs seen
    std::uint64_t skipped = 0;  ///< of these, left out of the sums

    /// Shapes: both of one length.
    void add(std::span<const double> pre, std::span<const double> post);
    void add(linalg::MatrixView<const double> pre, linalg::MatrixView<const double> post);
    void merge(const DriftSums& other);

    /// The drift. Infinite where pre alone is zero, NaN where every pair was left out.
    double relative() const;

    /// The sums of a post that is pre.
    DriftSums without_difference() const;
};

/// Rows of one head, before and after. Shapes: both [head_dim, columns].
struct HeadPair {
    linalg::MatrixView<const double> pre;
    linalg::MatrixView<const double> post;
};

/// Routing drift ||R_post - R_pre||_F / ||R_pre||_F of the query heads that share one block of key
/// rows, R = W_Q W_K^T, from products of head_dim x head_dim alone.
///
/// By traces, ||Q K^T||_F^2 = tr((Q^T Q)(K^T K)); where the result falls below 1e-3, by
/// Delta R = dQ K_pre^T + Q_post dK^T, which does not cancel. A drift that is small only because a
/// change of gauge hides it is resolved to about 1e-8.
///
/// Shapes:  keys [head_dim, columns of keys], queries [head_dim, columns of queries].
/// Threads: `of` may run at once.
/// Cost:    five products of 2 head_dim^2 columns for the keys, three to seven for a query head.
class RoutingDrift {
public:
    explicit RoutingDrift(const HeadPair& key);

    /// Absent where the rows of the head or of its keys hold a NaN or an infinity; infinite where
    /// R_pre alone is zero.
    std::optional<double> of(const HeadPair& query) const;

private:
    bool is_key_finite_ = false;
    linalg::Matrix pre_gram_;          ///< K_pre^T K_pre
    linalg::Matrix post_gram_;         ///< K_post^T K_post
    linalg::Matrix cross_;             ///< K_pre^T K_post
    linalg::Matrix difference_gram_;   ///< dK^T dK
    linalg::Matrix difference_cross_;  ///< K_pre^T dK
};

/// Drift that no change of gauge explains: pre is first turned as near to post as the symmetry of
/// the logits allows (alignment.hpp), then compared.
struct AlignedDrift {
    std::vector<double> queries;
    double key = 0.0;
    double group = 0.0;          ///< of all these rows together
    std::vector<double> angles;  ///< of the rotary pairs
};

/// Absent where a row holds a NaN or an infinity.
/// Errors: those of `rotary_planes`.
std::optional<AlignedDrift> aligned_drift(std::span<const HeadPair> queries,
                                          const HeadPair& key,
                                          const checkpoint::RotaryLayout& rotary);

/// All measures of one routing group.
struct GroupDrift {
    std::vector<DriftSums> queries;
    DriftSums key;
    std::vector<std::optional<double>> routing;  ///< for each query head
    std::optional<AlignedDrift> aligned{};       ///< absent also where there is no gauge
};

/// `gauge` is absent where no rotation is a symmetry (QK-norm); otherwise the rotary pairs that a
/// rotation must respect, `Pairs::none` for none.
GroupDrift measure_group(std::span<const HeadPair> queries,
                         const HeadPair& key,
                         const std::optional<checkpoint::RotaryLayout>& gauge);

/// The routing drift of one head by its definition, with matrices of columns x columns.
double naive_routing_drift(const HeadPair& query, const HeadPair& key);

}  // namespace anamnesis::restore
