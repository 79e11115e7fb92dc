// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "anamnesis/base/json.hpp"
#include "anamnesis/restore/apply.hpp"
#include "anamnesis/restore/drift_measures.hpp"
#include "anamnesis/restore/plan.hpp"

#include "row_targets.hpp"

namespace anamnesis::restore {

/// What a receipt says of one changed tensor.
struct ChangeMeasure {
    std::string pre_digest;  ///< SHA-256 of the whole tensor
    std::string post_digest;
    std::string result_digest;
    DriftSums before;      ///< post's rows against pre's
    DriftSums after;       ///< the result's rows against pre's
    bool differs = false;  ///< some selected row of post is not pre's
};

/// The time in UTC, as receipts have it.
std::string make_timestamp();

/// Path, family and evidence of a checkpoint, as receipts have them.
Json describe_source(const RecognisedCheckpoint& source);

/// SHA-256 of a whole tensor.
std::string digest_tensor(const checkpoint::TensorEntry& tensor, const Execution& execution);

/// Digests and drift before the repair.
void add_jobs_before(const Plan& plan,
                     std::vector<ChangeMeasure>& measures,
                     const Execution& execution,
                     Jobs& jobs);

/// Digests and drift after it, read back from where the rows were written. `targets` must lie in a
/// whole checkpoint, at the offsets of post.
void add_jobs_after(const Plan& plan,
                    const RowTargets& targets,
                    std::vector<ChangeMeasure>& measures,
                    const Execution& execution,
                    Jobs& jobs);

/// Errors: `mismatch` where not one selected row differs.
void refuse_equal_rows(const Plan& plan, const std::vector<ChangeMeasure>& measures);

/// The receipt, less what only the writer of an output knows.
/// How far rounding moved rows that were quantised anew, for the terminal; nothing where none were.
std::optional<std::string> describe_rounding(const Json& receipt);

Json make_receipt(const Plan& plan, const std::vector<ChangeMeasure>& measures);

}  // namespace anamnesis::restore
