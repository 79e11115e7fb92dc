// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/report/text_table.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "anamnesis/base/text.hpp"

namespace anamnesis::report {
namespace {

/// Columns a text takes: code points, which is right for what the project prints.
std::size_t count_columns(std::string_view text) {
    return static_cast<std::size_t>(std::ranges::count_if(
        text, [](char c) { return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U; }));
}

}  // namespace

std::string text_table(const std::vector<std::string>& columns,
                       std::vector<std::vector<std::string>> rows) {
    // Names come out of files, and a terminal would obey what is in them.
    for (std::vector<std::string>& row : rows) {
        for (std::string& cell : row) {
            cell = escape_controls(cell);
        }
    }
    std::vector<std::string> names;
    std::vector<bool> is_right;
    std::vector<std::size_t> widths;
    for (const std::string& column : columns) {
        const bool right = column.starts_with('>');
        names.push_back(right ? column.substr(1) : column);
        is_right.push_back(right);
        widths.push_back(count_columns(names.back()));
    }
    for (const auto& row : rows) {
        for (std::size_t i = 0; i < row.size(); ++i) {
            widths[i] = std::max(widths[i], count_columns(row[i]));
        }
    }
    std::string text;
    const auto add = [&](const std::vector<std::string>& cells) {
        std::string line;
        for (std::size_t i = 0; i < cells.size(); ++i) {
            const std::string padding(widths[i] - count_columns(cells[i]), ' ');
            line += is_right[i] ? padding + cells[i] : cells[i] + padding;
            line += "  ";
        }
        line.erase(line.find_last_not_of(' ') + 1);
        text += line + "\n";
    };
    add(names);
    for (const auto& row : rows) {
        add(row);
    }
    return text;
}

std::string short_number(double value) {
    if (!std::isfinite(value)) {
        return "-";
    }
    return value == 0.0 || std::abs(value) >= 1e-3 ? format("{:.4f}", value)
                                                   : format("{:.1e}", value);
}

}  // namespace anamnesis::report
