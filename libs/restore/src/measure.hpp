// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "anamnesis/base/json.hpp"
#include "anamnesis/checkpoint/finding.hpp"
#include "anamnesis/io/file.hpp"
#include "anamnesis/restore/apply.hpp"
#include "anamnesis/restore/drift_measures.hpp"
#include "anamnesis/restore/plan.hpp"
#include "anamnesis/restore/request.hpp"

#include "row_targets.hpp"

namespace anamnesis::restore {

/// What a receipt says of one changed tensor.
struct ChangeMeasure {
    std::string pre_digest;  ///< SHA-256 of the whole tensor
    std::string post_digest;
    std::string result_digest;
    DriftSums before;                        ///< post's rows against pre's
    DriftSums after;                         ///< the result's rows against pre's
    bool differs = false;                    ///< some selected row of post is not pre's
    std::uint64_t non_finite_in_pre = 0;     ///< values of the selected rows, NaN or infinite
    std::uint64_t non_finite_in_result = 0;  ///< the same of the rows as they were written
};

/// The time in UTC, as receipts have it.
std::string make_timestamp();

/// Path, family and evidence of a checkpoint, as receipts have them.
Json describe_source(const RecognisedCheckpoint& source);

/// SHA-256 of `size` bytes from `offset` on.
std::string digest_range(const io::File& file,
                         std::uint64_t offset,
                         std::uint64_t size,
                         const Execution& execution);

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

/// The drift of the rows alone, where `targets` lie somewhere else: in a patch.
void add_drift_jobs_after(const Plan& plan,
                          const RowTargets& targets,
                          std::vector<ChangeMeasure>& measures,
                          const Execution& execution,
                          Jobs& jobs);

/// Errors: `mismatch` where not one selected row differs.
void refuse_equal_rows(const Plan& plan, const std::vector<ChangeMeasure>& measures);

/// What may be wrong with rows that were written: NaN and infinite values, and rows that are all
/// post's by their digests.
std::vector<checkpoint::Finding> find_result_faults(const Plan& plan,
                                                    const std::vector<ChangeMeasure>& measures);

/// That the written rows are post's.
checkpoint::Finding describe_unchanged(const Request& request);

/// Findings that were made when the rows were written.
std::vector<Json> list_result_findings(const Json& receipt);

/// What a receipt says for the terminal: how far rounding moved rows that were quantised anew.
std::vector<std::string> list_notes(const Json& receipt);

/// The receipt, less what only the writer of an output knows.
Json make_receipt(const Plan& plan, const std::vector<ChangeMeasure>& measures);

}  // namespace anamnesis::restore
