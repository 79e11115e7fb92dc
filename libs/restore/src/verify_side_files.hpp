// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/restore/verify.hpp"

namespace anamnesis::restore {

/// Adds a deviation for every file beside post's weights that the repaired checkpoint lacks or has
/// otherwise. Which files must be there is this file's own rule, not the writers' (decision 0002).
/// Errors: `io`, naming the file.
/// Cost:   reads both sides once, 1 MB at a time.
void compare_side_files(const checkpoint::Checkpoint& post,
                        const checkpoint::Checkpoint& repaired,
                        Verification& result);

}  // namespace anamnesis::restore
