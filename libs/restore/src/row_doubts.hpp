// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "anamnesis/checkpoint/finding.hpp"

#include "row_samples.hpp"

namespace anamnesis::restore {

/// Doubts about W_Q and W_K each by itself: rows of pre that are farther from post's than a
/// fine-tune moves them, and rows of another size.
void find_row_doubts(const LayerRelations& layers, std::vector<checkpoint::Finding>& findings);

}  // namespace anamnesis::restore
