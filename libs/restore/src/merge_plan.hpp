// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <vector>

#include "anamnesis/checkpoint/adapter.hpp"
#include "anamnesis/checkpoint/finding.hpp"
#include "anamnesis/restore/merge.hpp"

namespace anamnesis::restore {

/// Every tensor of the base that the adapter changes, without a repair.
/// Errors: `mismatch` for a bias that the base does not have; `unsupported` for tensors of the base
/// that hold no plain values.
std::vector<MergedTensor> list_merged_tensors(const checkpoint::AdapterMatch& match);

/// That the adapter changes an embedding which the base has as its head too: one tensor for both.
std::optional<checkpoint::Finding> find_tied_embedding(const checkpoint::AdapterMatch& match);

/// Errors: `mismatch` for a head of its own where the base has none.
void refuse_saved_head_of_tied_base(const checkpoint::AdapterMatch& match);

}  // namespace anamnesis::restore
