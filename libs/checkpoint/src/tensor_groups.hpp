// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <span>

#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/checkpoint/row_layout.hpp"

namespace anamnesis::checkpoint {

/// The group of a tensor of softmax attention as a whole; nothing where its rows differ in role.
std::optional<TensorGroup> find_group_of_rows(AttentionGroup group,
                                              std::span<const RowSegment> segments);

}  // namespace anamnesis::checkpoint
