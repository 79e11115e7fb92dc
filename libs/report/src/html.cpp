// SPDX-License-Identifier: Apache-2.0
#include <cstddef>
#include <string>
#include <string_view>
#include <variant>

#include "anamnesis/base/text.hpp"
#include "anamnesis/report/document.hpp"

#include "chart.hpp"
#include "heat_map.hpp"
#include "style.hpp"

namespace anamnesis::report {
namespace {

/// A cell is one line, whatever the name in it holds.
std::string escape_cell(std::string_view text) {
    return escape_html(escape_controls(text));
}

/// One overload for each kind of block.
struct Renderer {
    std::string operator()(const Heading& heading) const {
        return format("<h{0}>{1}</h{0}>\n", heading.level, escape_html(heading.text));
    }
    std::string operator()(const Paragraph& paragraph) const {
        return format("<p>{}</p>\n", escape_html(paragraph.text));
    }
    std::string operator()(const KeyFigures& figures) const {
        std::string html = "<div class=\"figures\">\n";
        for (const KeyFigures::Figure& figure : figures.figures) {
            html += format("<div><b>{}</b><span>{}</span></div>\n",
                           escape_html(figure.value),
                           escape_html(figure.label));
        }
        return html + "</div>\n";
    }
    std::string operator()(const Table& table) const {
        const auto alignment = [&](std::size_t column) -> std::string_view {
            return column < table.is_number.size() && table.is_number[column] ? " class=\"number\""
                                                                              : "";
        };
        std::string html = "<div class=\"wide\"><table>";
        if (!table.caption.empty()) {
            html += format("<caption>{}</caption>", escape_html(table.caption));
        }
        html += "<thead><tr>";
        for (std::size_t i = 0; i < table.columns.size(); ++i) {
            html +=
                format("<th scope=\"col\"{}>{}</th>", alignment(i), escape_cell(table.columns[i]));
        }
        html += "</tr></thead><tbody>\n";
        for (const auto& row : table.rows) {
            html += "<tr>";
            for (std::size_t i = 0; i < row.size(); ++i) {
                html += format("<td{}>{}</td>", alignment(i), escape_cell(row[i]));
            }
            html += "</tr>\n";
        }
        return html + "</tbody></table></div>\n";
    }
    std::string operator()(const HeatMap& map) const { return heat_map_html(map); }
    std::string operator()(const Gallery& gallery) const {
        std::string html = "<div class=\"gallery\">\n";
        for (const HeatMap& map : gallery.maps) {
            html += heat_map_html(map);
        }
        return html + "</div>\n";
    }
    std::string operator()(const Curves& curves) const { return curves_html(curves); }
    std::string operator()(const Scatter& scatter) const { return scatter_html(scatter); }
    std::string operator()(const Details& details) const {
        std::string html = format("<details><summary>{}</summary>\n", escape_html(details.summary));
        for (const std::string& text : details.texts) {
            html += format("<pre>{}</pre>\n", escape_html(text));
        }
        return html + "</details>\n";
    }
    std::string operator()(const Bars& bars) const { return bars_html(bars); }
};

}  // namespace

std::string escape_html(std::string_view text) {
    std::string result;
    result.reserve(text.size());
    for (const char c : text) {
        switch (c) {
            case '&':
                result += "&amp;";
                break;
            case '<':
                result += "&lt;";
                break;
            case '>':
                result += "&gt;";
                break;
            case '"':
                result += "&quot;";
                break;
            case '\r':  // of a line break
                break;
            case '\n':
            case '\t':
                result += c;
                break;
            default:
                result += escape_controls({&c, 1});
        }
    }
    return result;
}

std::string to_html(const Document& document) {
    std::string html = format(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
        "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
        "<title>{}</title>\n<style>{}</style></head>\n<body>\n<h1>{}</h1>\n",
        escape_html(document.title),
        style_sheet,
        escape_html(document.title));
    if (!document.subtitle.empty()) {
        html += format("<p class=\"subtitle\">{}</p>\n", escape_html(document.subtitle));
    }
    for (const Block& block : document.blocks) {
        html += std::visit(Renderer{}, block);
    }
    return html + "</body></html>\n";
}

}  // namespace anamnesis::report
