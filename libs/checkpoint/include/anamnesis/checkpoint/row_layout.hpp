// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

#include "anamnesis/checkpoint/model.hpp"

namespace anamnesis::checkpoint {

/// A run of rows with one role.
struct RowSegment {
    RowRole role = RowRole::query;
    std::uint64_t rows = 0;   ///< of one head; 0: every row of the tensor
    std::uint32_t heads = 0;  ///< how many heads follow one another; 0: rows of no single head
};

/// How the rows of a tensor divide: the segments, one after another, `repeat` times over. Heads of
/// a role are counted through, from the first row to the last.
struct RowLayout {
    std::vector<RowSegment> segments{};
    std::uint32_t repeat = 1;

    /// Every row has one role and belongs to no single head.
    static RowLayout all(RowRole role) { return {.segments = {{.role = role}}}; }
};

/// Rows that the layout covers; 0 where it takes every row there is. No layout that this project
/// makes overflows: heads and rows are bounded by ConfigReader::largest_count.
std::uint64_t count_rows(const RowLayout& layout);

/// The blocks of a tensor of `tensor_rows` rows, which must be what `count_rows` says (or anything
/// for a layout that takes every row).
std::vector<RowBlock> make_blocks(const RowLayout& layout, std::uint64_t tensor_rows);

/// Heads of `role` in the whole layout.
std::uint32_t count_heads(const RowLayout& layout, RowRole role);

}  // namespace anamnesis::checkpoint
