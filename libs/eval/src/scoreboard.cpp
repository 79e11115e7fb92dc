// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/eval/scoreboard.hpp"

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

namespace anamnesis::eval {
namespace {

void add_once(std::vector<std::string>& names, const std::string& name) {
    if (std::ranges::find(names, name) == names.end()) {
        names.push_back(name);
    }
}

}  // namespace

void ScoreTable::add(const std::string& row, const std::string& column, double score) {
    add_once(rows_, row);
    add_once(columns_, column);
    Cell& cell = cells_[{row, column}];
    cell.sum += score;
    ++cell.count;
}

std::optional<ScoreTable::Mean> ScoreTable::mean(const std::string& row,
                                                 const std::string& column) const {
    const auto cell = cells_.find({row, column});
    if (cell == cells_.end()) {
        return std::nullopt;
    }
    return Mean{.value = cell->second.sum / static_cast<double>(cell->second.count),
                .count = cell->second.count};
}

}  // namespace anamnesis::eval
