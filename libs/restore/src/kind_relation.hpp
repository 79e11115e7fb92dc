// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "anamnesis/checkpoint/finding.hpp"
#include "anamnesis/checkpoint/model.hpp"

namespace anamnesis::restore {

/// Layers that are of other kinds in pre than in post, which chooses the rows.
void find_kind_relation(const checkpoint::RecognisedCheckpoint& pre,
                        const checkpoint::RecognisedCheckpoint& post,
                        std::vector<checkpoint::Finding>& findings);

}  // namespace anamnesis::restore
