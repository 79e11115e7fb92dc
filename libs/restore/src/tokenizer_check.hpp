// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "anamnesis/checkpoint/finding.hpp"
#include "anamnesis/checkpoint/model.hpp"

namespace anamnesis::restore {

/// Holds the files beside the weights against the vocabulary: tokens without a row of the
/// embedding, special tokens of the config, a chat template, remote code.
void check_side_files(const checkpoint::RecognisedCheckpoint& source,
                      std::vector<checkpoint::Finding>& findings);

}  // namespace anamnesis::restore
