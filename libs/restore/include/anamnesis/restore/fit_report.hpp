// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "anamnesis/base/json.hpp"
#include "anamnesis/checkpoint/finding.hpp"
#include "anamnesis/restore/apply.hpp"
#include "anamnesis/restore/fit.hpp"
#include "anamnesis/restore/moments.hpp"
#include "anamnesis/restore/plan.hpp"

namespace anamnesis::restore {

/// What the moments of a group say of its repair with one mu: inputs and tokens of each side, the
/// numerical rank of A = S_R + mu S_C (eigenvalues above the ridge), the condition of A + eps I,
/// and the relative distances
///
///     recall: |W x - W_pre x| / |W_pre x| on R,   chains: |W x - W_post x| / |W_post x| on C,
///
/// of the fit to the texts that were not held back, on these and on those that were; beside them
/// those of post on R and of pre on C, between which and 0 a fit lies. Where no text was held back,
/// of the fit itself. Looked at are up to 16 blocks and 256 rows of the group, evenly spaced.
/// Errors: those of `load_group_moments`.
/// Source: docs/method.md, "Fit".
Json describe_fit(const FitGroup& group, const MomentSource& source, const FitBalance& balance);

/// Gives the request of a plan that has its moments the descriptions of its groups, for each mu.
/// What a reader should know of them is added to the plan's findings and given. Errors: as above.
std::vector<checkpoint::Finding> report_fit(Plan& plan, const Execution& execution);

}  // namespace anamnesis::restore
