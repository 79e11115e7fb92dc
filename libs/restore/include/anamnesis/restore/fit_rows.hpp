// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "anamnesis/linalg/matrix_view.hpp"
#include "anamnesis/restore/moments.hpp"
#include "anamnesis/restore/plan.hpp"

namespace anamnesis::restore {

/// The moments of both sides for one group, scaled.
struct GroupMoments {
    Moment recall;
    Moment chains;
};

/// Errors: `not_found` for a moment that the source does not have; `mismatch` for one of another
/// size than the rows that it is for; as `scale_moment`.
GroupMoments load_group_moments(const FitGroup& group, const MomentSource& source);

/// The fitted rows of each block of the group, not rounded; with a bias, it is the last column.
std::vector<linalg::Matrix> compute_fit(const FitGroup& group,
                                        const GroupMoments& moments,
                                        double mu);

}  // namespace anamnesis::restore
