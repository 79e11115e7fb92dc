// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "anamnesis/base/watch.hpp"
#include "anamnesis/restore/plan.hpp"

namespace anamnesis::restore {

/// Whether pre has a counterpart of the same type, shape and bytes for every tensor of post: then
/// nothing of pre changes post.
/// Errors: `cancelled` after a stop; those of reading.
/// Cost:   reads both checkpoints up to the first tensor that differs; buffers of a few MB.
bool are_weights_equal(const RecognisedCheckpoint& pre,
                       const RecognisedCheckpoint& post,
                       const Watch& watch = {});

}  // namespace anamnesis::restore
