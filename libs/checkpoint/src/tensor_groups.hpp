// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <span>
#include <string_view>

#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/checkpoint/row_layout.hpp"

namespace anamnesis::checkpoint {

/// The group of a tensor of softmax attention as a whole; nothing where its rows differ in role.
std::optional<TensorGroup> find_group_of_rows(AttentionGroup group,
                                              std::span<const RowSegment> segments);

/// True for a table that some libraries save though it follows from the config; `rest` is a name
/// within a layer.
bool is_buffer(std::string_view rest);

}  // namespace anamnesis::checkpoint
