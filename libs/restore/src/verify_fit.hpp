// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "anamnesis/restore/moments.hpp"
#include "anamnesis/restore/plan.hpp"
#include "anamnesis/restore/request.hpp"
#include "anamnesis/restore/verify.hpp"

namespace anamnesis::restore {

/// The part of `verify` that computes the rows of `fit` again: adds to its rows, deviations and
/// notes.
void verify_fit(const RecognisedCheckpoint& pre,
                const RecognisedCheckpoint& post,
                const RecognisedCheckpoint& repaired,
                const Request& request,
                const MomentSource& moments,
                Verification& result);

}  // namespace anamnesis::restore
