// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "anamnesis/base/json.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"

namespace anamnesis::restore {

/// Rows that a patch holds and nothing describes would be left out without a word.
/// Errors: `malformed` for a tensor of the patch that its description names twice or not at all.
void refuse_undescribed_rows(const checkpoint::Checkpoint& rows, const Json& description);

/// Rows that the patch holds as bytes get the type and shape that they have in the checkpoint.
/// Errors: `malformed` where these do not fit.
checkpoint::Checkpoint with_block_types(const checkpoint::Checkpoint& rows,
                                        const Json& description);

}  // namespace anamnesis::restore
