// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "anamnesis/base/text.hpp"
#include "anamnesis/report/document.hpp"

namespace anamnesis::report {
namespace {

/// One line, with what tables and markup would read as theirs escaped.
std::string in_line(std::string_view text) {
    std::string result;
    for (const char c : text) {
        if (c == '\n' || c == '\r') {
            result += ' ';
            continue;
        }
        if (std::string_view("|*_`<>\\").find(c) != std::string_view::npos) {
            result += '\\';
        }
        result += c;
    }
    return escape_controls(result);
}

std::string render_row(const std::vector<std::string>& cells) {
    std::string row = "|";
    for (const std::string& cell : cells) {
        row += " " + in_line(cell) + " |";
    }
    return row + "\n";
}

std::string render_table(const Table& table) {
    std::string text = table.caption.empty() ? "" : in_line(table.caption) + "\n\n";
    text += render_row(table.columns) + "|";
    for (std::size_t i = 0; i < table.columns.size(); ++i) {
        text += i < table.is_number.size() && table.is_number[i] ? "---:|" : "---|";
    }
    text += "\n";
    for (const auto& row : table.rows) {
        text += render_row(row);
    }
    return text + "\n";
}

Table to_table(const HeatMap& map) {
    Table table{.caption = map.caption,
                .columns = {format("{} \\ {}", map.row_label, map.column_label)},
                .is_number = {false},
                .rows = {}};
    for (const std::string& column : map.columns) {
        table.columns.push_back(column);
        table.is_number.push_back(true);
    }
    for (std::size_t i = 0; i < map.rows.size(); ++i) {
        std::vector<std::string> row{map.rows[i]};
        for (std::size_t k = 0; k < map.columns.size(); ++k) {
            const bool is_there =
                i < map.values.size() && k < map.values[i].size() && map.values[i][k];
            row.push_back(is_there ? format("{:.4g}", *map.values[i][k]) : "");
        }
        table.rows.push_back(std::move(row));
    }
    return table;
}

struct Writer {
    std::string operator()(const Heading& heading) const {
        return std::string(static_cast<std::size_t>(std::max(heading.level, 1)), '#') + " " +
               in_line(heading.text) + "\n\n";
    }
    std::string operator()(const Paragraph& paragraph) const {
        return in_line(paragraph.text) + "\n\n";
    }
    std::string operator()(const KeyFigures& figures) const {
        std::string text;
        for (const KeyFigures::Figure& figure : figures.figures) {
            text += format("- **{}** {}\n", in_line(figure.value), in_line(figure.label));
        }
        return text + "\n";
    }
    std::string operator()(const Table& table) const { return render_table(table); }
    std::string operator()(const HeatMap& map) const { return render_table(to_table(map)); }
    std::string operator()(const Gallery& gallery) const {
        std::string text;
        for (const HeatMap& map : gallery.maps) {
            text += render_table(to_table(map));
        }
        return text;
    }
    std::string operator()(const Curves& curves) const {
        Table table{.caption = curves.caption,
                    .columns = {"series", curves.x_label, curves.y_label, "low", "high"},
                    .is_number = {false, true, true, true, true},
                    .rows = {}};
        for (const Curves::Series& series : curves.series) {
            for (const Curves::Point& point : series.points) {
                table.rows.push_back({series.name,
                                      format("{:.6g}", point.x),
                                      format("{:.4g}", point.y),
                                      format("{:.4g}", point.low),
                                      format("{:.4g}", point.high)});
            }
        }
        return render_table(table);
    }
    std::string operator()(const Scatter& scatter) const {
        Table table{.caption = scatter.caption,
                    .columns = {"", scatter.x_label, scatter.y_label},
                    .is_number = {false, true, true},
                    .rows = {}};
        for (const Scatter::Point& point : scatter.points) {
            table.rows.push_back(
                {point.name,
                 format("{:.4g} [{:.4g}, {:.4g}]", point.x, point.x_low, point.x_high),
                 format("{:.4g} [{:.4g}, {:.4g}]", point.y, point.y_low, point.y_high)});
        }
        return render_table(table);
    }
    std::string operator()(const Details& details) const {
        std::string text = in_line(details.summary) + "\n\n";
        for (const std::string& part : details.texts) {
            text += "> " + in_line(part) + "\n>\n";
        }
        return text + "\n";
    }
    std::string operator()(const Bars& bars) const {
        Table table{
            .caption = bars.caption, .columns = {"", ""}, .is_number = {false, true}, .rows = {}};
        for (const Bars::Bar& bar : bars.bars) {
            table.rows.push_back({bar.label, format("{:.4g}", bar.value)});
        }
        return render_table(table);
    }
};

}  // namespace

std::string to_markdown(const Document& document) {
    std::string text = "# " + in_line(document.title) + "\n\n";
    if (!document.subtitle.empty()) {
        text += in_line(document.subtitle) + "\n\n";
    }
    for (const Block& block : document.blocks) {
        text += std::visit(Writer{}, block);
    }
    return text;
}

}  // namespace anamnesis::report
