// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "anamnesis/checkpoint/finding.hpp"
#include "anamnesis/checkpoint/model.hpp"

#include "pairing.hpp"

namespace anamnesis::restore {

/// Looks at samples of W_Q and W_K: rows that are unrelated, or in another rotary order.
void find_row_relation(const checkpoint::RecognisedCheckpoint& pre,
                       const checkpoint::RecognisedCheckpoint& post,
                       const Pairing& pairing,
                       std::vector<checkpoint::Finding>& findings);

}  // namespace anamnesis::restore
