// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/checkpoint/row_layout.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "anamnesis/base/check.hpp"
#include "anamnesis/checkpoint/model.hpp"

namespace anamnesis::checkpoint {

std::uint64_t count_rows(const RowLayout& layout) {
    std::uint64_t rows = 0;
    for (const RowSegment& segment : layout.segments) {
        if (segment.rows == 0) {
            return 0;
        }
        rows += segment.rows * std::max<std::uint64_t>(segment.heads, 1);
    }
    return rows * layout.repeat;
}

std::vector<RowBlock> make_blocks(const RowLayout& layout, std::uint64_t tensor_rows) {
    const std::uint64_t covered = count_rows(layout);
    ANAMNESIS_CHECK(covered == 0 || covered == tensor_rows, "the layout covers the tensor");
    if (covered == 0) {
        return {{.role = layout.segments.front().role, .head = {}, .rows = {0, tensor_rows}}};
    }
    std::vector<RowBlock> blocks;
    std::array<std::uint32_t, 5> next_head{};
    std::uint64_t row = 0;
    for (std::uint32_t round = 0; round < layout.repeat; ++round) {
        for (const RowSegment& segment : layout.segments) {
            if (segment.heads == 0) {
                blocks.push_back(
                    {.role = segment.role, .head = {}, .rows = {row, row + segment.rows}});
                row += segment.rows;
            }
            for (std::uint32_t i = 0; i < segment.heads; ++i) {
                std::uint32_t& head = next_head[static_cast<std::size_t>(segment.role)];
                blocks.push_back(
                    {.role = segment.role, .head = head, .rows = {row, row + segment.rows}});
                row += segment.rows;
                ++head;
            }
        }
    }
    return blocks;
}

std::uint32_t count_heads(const RowLayout& layout, RowRole role) {
    std::uint32_t heads = 0;
    for (const RowSegment& segment : layout.segments) {
        heads += segment.role == role ? segment.heads : 0;
    }
    return heads * layout.repeat;
}

}  // namespace anamnesis::checkpoint
