// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/eval/scoreboard.hpp"

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "anamnesis/base/text.hpp"
#include "anamnesis/report/text_table.hpp"

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

std::string to_text(const ScoreTable& table) {
    std::vector<std::string> names{""};
    for (const std::string& column : table.columns()) {
        names.push_back(">" + column);
    }
    std::vector<std::vector<std::string>> rows;
    for (const std::string& row : table.rows()) {
        rows.push_back({row});
        for (const std::string& column : table.columns()) {
            const auto mean = table.mean(row, column);
            rows.back().push_back(mean ? format("{:.1f} ({})", 100.0 * mean->value, mean->count)
                                       : std::string());
        }
    }
    return report::text_table(names, rows);
}

}  // namespace anamnesis::eval
