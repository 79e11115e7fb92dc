// SPDX-License-Identifier: Apache-2.0
#include "splices.hpp"

#include <cstdint>
#include <vector>

#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/restore/plan.hpp"

namespace anamnesis::restore {

void append_rows(std::vector<RowSplice>& splices,
                 checkpoint::RowRange rows,
                 std::uint64_t pre_row,
                 checkpoint::RowRole role) {
    if (!splices.empty()) {
        RowSplice& last = splices.back();
        if (last.role == role && last.rows.end == rows.begin &&
            last.pre_row + last.rows.size() == pre_row) {
            last.rows.end = rows.end;
            return;
        }
    }
    splices.push_back({.rows = rows, .pre_row = pre_row, .role = role});
}

}  // namespace anamnesis::restore
