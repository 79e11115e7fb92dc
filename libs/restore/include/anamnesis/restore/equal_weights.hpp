// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "anamnesis/base/watch.hpp"
#include "anamnesis/restore/plan.hpp"
#include "anamnesis/restore/request.hpp"

namespace anamnesis::restore {

/// Whether pre has a counterpart of the same type, shape and bytes for every tensor of post: then
/// nothing of pre changes post.
/// Errors: `cancelled` after a stop; those of reading.
/// Cost:   reads both checkpoints up to the first tensor that differs; buffers of a few MB.
bool are_weights_equal(const RecognisedCheckpoint& pre,
                       const RecognisedCheckpoint& post,
                       const Watch& watch = {});

/// Whether some row that a plan takes differs, which the first such row shows; rows that are
/// converted do. Errors and cost: as above, of these rows.
bool has_unequal_rows(const Plan& plan, const Watch& watch);

/// Why a plan without unequal rows is refused.
std::string describe_equal_rows(const Request& request);

/// For work that would be in vain: it asks before a calibration. A plan with an adapter passes.
/// Errors: `mismatch` where every row that the plan takes is the same in pre and post; as above.
void require_unequal_rows(const Plan& plan, const Watch& watch);

}  // namespace anamnesis::restore
