// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/finding.hpp"
#include "anamnesis/restore/plan.hpp"

namespace anamnesis::restore {

/// What a plan needs beside its changes where post is a GGUF file: opens the importances, says what
/// is rounded and with what, and holds scales of whole tensors (NVFP4) against each other.
/// Errors: `usage` for options that nothing here uses; those of `ImportanceMatrix::open`.
void plan_gguf(Plan& plan,
               std::vector<std::string>& problems,
               std::vector<checkpoint::Finding>& findings);

/// The scale of a whole NVFP4 tensor ("blk.0.attn_q.scale"); null where there is none.
const checkpoint::TensorEntry* find_whole_scale(const checkpoint::Checkpoint& checkpoint,
                                                const checkpoint::TensorEntry& weight);

}  // namespace anamnesis::restore
