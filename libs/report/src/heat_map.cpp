// SPDX-License-Identifier: Apache-2.0
#include "heat_map.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <string>
#include <string_view>

#include "anamnesis/base/text.hpp"
#include "anamnesis/report/document.hpp"

namespace anamnesis::report {
namespace {

struct Colour {
    double red;
    double green;
    double blue;
};

// Nine equal steps of cividis.
constexpr std::array<Colour, 9> scale{{{0, 34, 78},
                                       {33, 55, 108},
                                       {67, 78, 108},
                                       {93, 100, 110},
                                       {119, 122, 119},
                                       {146, 145, 119},
                                       {177, 168, 109},
                                       {212, 195, 90},
                                       {253, 233, 69}}};

// Blue to orange through a light middle: told apart with any colour vision, and by lightness from
// the middle. Source: the ends of Okabe & Ito's palette.
constexpr std::array<Colour, 5> diverging_scale{
    {{0, 68, 136}, {102, 153, 204}, {245, 245, 243}, {238, 170, 102}, {170, 68, 17}}};

double compute_share(const HeatMap& map, double value) {
    const double range = map.high - map.low;
    return range > 0.0 ? std::clamp((value - map.low) / range, 0.0, 1.0) : 0.0;
}

/// Null for a cell that was not measured.
const double* find_value(const HeatMap& map, std::size_t row, std::size_t column) {
    if (row >= map.values.size() || column >= map.values[row].size() ||
        !map.values[row][column].has_value()) {
        return nullptr;
    }
    return &*map.values[row][column];
}

constexpr double legend_width = 160.0;

/// Narrow for many heads; wide enough for words.
double cell_width(const HeatMap& map) {
    std::size_t longest = 0;
    for (const std::string& column : map.columns) {
        longest = std::max(longest, column.size());
    }
    const double width = std::clamp(
        700.0 / static_cast<double>(std::max<std::size_t>(1, map.columns.size())), 7.0, 44.0);
    constexpr double letter = 6.5;
    if (map.decimals) {
        longest = std::max<std::size_t>(longest, 5);
    }
    return longest > 3 ? std::max(width, letter * static_cast<double>(longest) + 8.0) : width;
}

/// Every n-th label, so that long axes stay readable.
std::size_t label_step(std::size_t count, double cell) {
    const double smallest = 22.0;
    std::size_t step = 1;
    while (cell * static_cast<double>(step) < smallest && step < count) {
        step *= 2;
    }
    return step;
}

}  // namespace

namespace {

template <std::size_t Size>
Colour mixed(const std::array<Colour, Size>& colours, double share) {
    const double position = std::clamp(share, 0.0, 1.0) * static_cast<double>(Size - 1);
    const auto index = std::min(static_cast<std::size_t>(position), Size - 2);
    const double rest = position - static_cast<double>(index);
    const Colour& from = colours.at(index);
    const Colour& to = colours.at(index + 1);
    const auto mix = [&](double a, double b) { return a + (b - a) * rest; };
    return {mix(from.red, to.red), mix(from.green, to.green), mix(from.blue, to.blue)};
}

Colour colour_at(HeatMap::Scale kind, double share) {
    return kind == HeatMap::Scale::diverging ? mixed(diverging_scale, share) : mixed(scale, share);
}

std::string to_hex(const Colour& colour) {
    return format("#{:02x}{:02x}{:02x}",
                  std::lround(colour.red),
                  std::lround(colour.green),
                  std::lround(colour.blue));
}

/// Ink that reads on a cell.
std::string_view ink_on(const Colour& colour) {
    const double luminance = 0.2126 * colour.red + 0.7152 * colour.green + 0.0722 * colour.blue;
    return luminance > 130.0 ? "#111" : "#fff";
}

/// Room for the row labels.
double label_width(const HeatMap& map) {
    std::size_t longest = map.row_label.size();
    for (const std::string& row : map.rows) {
        longest = std::max(longest, row.size());
    }
    return std::max(70.0, 6.3 * static_cast<double>(longest) + 16.0);
}

/// Where the parts of a drawing lie, in pixels.
struct Layout {
    double left = 0.0;     ///< of the first column
    double top = 34.0;     ///< of the first row
    double width = 0.0;    ///< of a cell
    double height = 22.0;  ///< of a cell
};

std::string draw_labels(const HeatMap& map, const Layout& layout) {
    std::string svg =
        format("<text x=\"{:.0f}\" y=\"12\">{}</text><text x=\"0\" y=\"{:.0f}\">{}</text>",
               layout.left,
               escape_html(map.column_label),
               layout.top - 6.0,
               escape_html(map.row_label));
    const std::size_t step = label_step(map.columns.size(), layout.width);
    for (std::size_t column = 0; column < map.columns.size(); column += step) {
        svg += format("<text x=\"{:.1f}\" y=\"{:.0f}\" text-anchor=\"middle\">{}</text>",
                      layout.left + layout.width * (static_cast<double>(column) + 0.5),
                      layout.top - 6.0,
                      escape_html(map.columns[column]));
    }
    return svg;
}

std::string draw_cell(const HeatMap& map,
                      const Layout& layout,
                      std::size_t row,
                      std::size_t column) {
    const double x = layout.left + layout.width * static_cast<double>(column);
    const double y = layout.top + layout.height * static_cast<double>(row);
    const std::string place = format("{} {}, {} {}",
                                     escape_html(map.row_label),
                                     escape_html(map.rows[row]),
                                     escape_html(map.column_label),
                                     escape_html(map.columns[column]));
    std::string svg = format("<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\" ",
                             x + 0.5,
                             y + 0.5,
                             layout.width - 1.0,
                             layout.height - 1.0);
    const double* value = find_value(map, row, column);
    if (value == nullptr) {
        return svg + format("class=\"absent\"><title>{}: not measured</title></rect>", place);
    }
    const Colour colour = colour_at(map.scale, compute_share(map, *value));
    svg += format("fill=\"{}\"><title>{}: {:.4g}</title></rect>", to_hex(colour), place, *value);
    if (map.decimals) {
        svg += format(
            "<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"middle\" "
            "style=\"fill:{}\">{:.{}f}</text>",
            x + layout.width / 2,
            y + layout.height / 2 + 4.0,
            ink_on(colour),
            *value,
            *map.decimals);
    }
    return svg;
}

std::string draw_legend(const HeatMap& map, double left, double top) {
    constexpr int steps = 40;
    std::string svg;
    for (int i = 0; i < steps; ++i) {
        svg +=
            format("<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"10\" fill=\"{}\"/>",
                   left + legend_width * i / steps,
                   top,
                   legend_width / steps + 0.3,
                   to_hex(colour_at(map.scale, (i + 0.5) / steps)));
    }
    return svg + format(
                     "<text x=\"{:.0f}\" y=\"{:.1f}\">{:.3g}</text>"
                     "<text x=\"{:.0f}\" y=\"{:.1f}\" text-anchor=\"end\">{:.3g}</text>",
                     left,
                     top + 24.0,
                     map.low,
                     left + legend_width,
                     top + 24.0,
                     map.high);
}

}  // namespace

std::string scale_colour(double share) {
    return to_hex(colour_at(HeatMap::Scale::sequential, share));
}

std::string heat_map_html(const HeatMap& map) {
    const Layout layout{.left = label_width(map), .width = cell_width(map)};
    const double columns = static_cast<double>(std::max<std::size_t>(1, map.columns.size()));
    const double total_width = layout.left + std::max(layout.width * columns, legend_width) + 20.0;
    const double grid_height = layout.height * static_cast<double>(map.rows.size());
    std::string svg = format(
        "<figure><figcaption>{}</figcaption><svg viewBox=\"0 0 {:.0f} {:.0f}\" width=\"{:.0f}\" "
        "role=\"img\" aria-label=\"{}\">",
        escape_html(map.caption),
        total_width,
        layout.top + grid_height + 46.0,
        total_width,
        escape_html(map.caption));
    svg += draw_labels(map, layout);
    for (std::size_t row = 0; row < map.rows.size(); ++row) {
        svg +=
            format("<text x=\"{:.0f}\" y=\"{:.1f}\" text-anchor=\"end\">{}</text>",
                   layout.left - 8.0,
                   layout.top + layout.height * static_cast<double>(row) + layout.height / 2 + 4.0,
                   escape_html(map.rows[row]));
        for (std::size_t column = 0; column < map.columns.size(); ++column) {
            svg += draw_cell(map, layout, row, column);
        }
    }
    svg += draw_legend(map, layout.left, layout.top + grid_height + 14.0);
    return svg + "</svg></figure>\n";
}

std::string bars_html(const Bars& bars) {
    constexpr double left = 150.0;
    constexpr double longest = 420.0;
    constexpr double line = 24.0;
    double largest = 0.0;
    for (const Bars::Bar& bar : bars.bars) {
        largest = std::max(largest, bar.value);
    }
    const double height = line * static_cast<double>(bars.bars.size()) + 6.0;
    std::string svg = format(
        "<figure><figcaption>{}</figcaption><svg viewBox=\"0 0 660 {:.0f}\" width=\"660\" "
        "role=\"img\" aria-label=\"{}\">",
        escape_html(bars.caption),
        height,
        escape_html(bars.caption));
    for (std::size_t i = 0; i < bars.bars.size(); ++i) {
        const Bars::Bar& bar = bars.bars[i];
        const double y = line * static_cast<double>(i);
        const double length = largest > 0.0 ? longest * bar.value / largest : 0.0;
        svg += format(
            "<text x=\"{:.0f}\" y=\"{:.1f}\" text-anchor=\"end\">{}</text>"
            "<rect class=\"bar{}\" x=\"{:.0f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"14\"/>"
            "<text x=\"{:.1f}\" y=\"{:.1f}\">{:.4g}</text>",
            left - 8.0,
            y + 15.0,
            escape_html(bar.label),
            bar.is_emphasised ? " strong" : "",
            left,
            y + 4.0,
            length,
            left + length + 6.0,
            y + 15.0,
            bar.value);
    }
    return svg + "</svg></figure>\n";
}

}  // namespace anamnesis::report
