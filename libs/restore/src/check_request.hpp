// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "anamnesis/restore/plan.hpp"
#include "anamnesis/restore/request.hpp"

namespace anamnesis::restore {

/// Layers and heads that were asked for must exist, and what the method needs must be given.
/// Errors: `usage`; `unsupported` for heads that nothing tells.
void check_request(const RecognisedCheckpoint& post, const Request& request);

/// Errors: `usage`, always, naming the switch that would give the selection rows.
[[noreturn]] void refuse_empty_selection(const RecognisedCheckpoint& post,
                                         const Selection& selection);

}  // namespace anamnesis::restore
