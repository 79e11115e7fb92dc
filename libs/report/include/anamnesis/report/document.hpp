// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace anamnesis::report {

/// A heading of a section; level 2 to 4 (the title is level 1).
struct Heading {
    int level = 2;
    std::string text;
};

struct Paragraph {
    std::string text;
};

/// Large figures at the top: what a reader came for.
struct KeyFigures {
    struct Figure {
        std::string value;
        std::string label;
    };
    std::vector<Figure> figures;
};

struct Table {
    std::string caption;
    std::vector<std::string> columns;
    std::vector<bool>
        is_number;  ///< right-aligned columns; shorter than `columns`: the rest is text
    std::vector<std::vector<std::string>> rows;
};

/// A grid of values in one colour scale from `low` to `high`, drawn as SVG. Absent cells are
/// hatched. Every cell shows its value on hover and to screen readers.
struct HeatMap {
    std::string caption;
    std::string row_label;     ///< "layer"
    std::string column_label;  ///< "query head"
    std::vector<std::string> rows;
    std::vector<std::string> columns;
    std::vector<std::vector<std::optional<double>>> values;  ///< [rows][columns]
    double low = 0.0;
    double high = 1.0;
    /// Sequential for amounts; diverging, with its middle at (low + high) / 2, for changes.
    enum class Scale : std::uint8_t { sequential, diverging };
    Scale scale = Scale::sequential;
    std::optional<int> decimals{};  ///< writes the values into the cells
};

/// Heat maps side by side where there is room, to be compared.
struct Gallery {
    std::vector<HeatMap> maps;
};

/// Lines over a common axis, with an interval at every point. Told apart by colour, dash and
/// marker.
struct Curves {
    struct Point {
        double x = 0.0;
        double y = 0.0;
        double low = 0.0;
        double high = 0.0;
    };
    struct Series {
        std::string name;
        std::vector<Point> points;
        bool has_markers = true;  ///< with intervals; else the line alone
    };
    enum class Axis : std::uint8_t { linear, logarithmic };

    std::string caption;
    std::string x_label;
    std::string y_label;
    std::vector<Series> series;
    Axis x_axis = Axis::linear;
    Axis y_axis = Axis::linear;
    std::optional<double> low{};  ///< of the y axis; absent: from the points
    std::optional<double> high{};
};

/// One point a thing, with its interval on both axes as a cross, and its name beside it.
struct Scatter {
    struct Point {
        std::string name;
        double x = 0.0;
        double y = 0.0;
        double x_low = 0.0;
        double x_high = 0.0;
        double y_low = 0.0;
        double y_high = 0.0;
    };
    std::string caption;
    std::string x_label;
    std::string y_label;
    std::vector<Point> points;
};

/// Text that opens on demand; everything is there without a script.
struct Details {
    std::string summary;
    std::vector<std::string> texts;  ///< as they are, line breaks kept
};

/// Horizontal bars on one scale, one a line.
struct Bars {
    struct Bar {
        std::string label;
        double value = 0.0;
        bool is_emphasised = false;
    };
    std::string caption;
    std::vector<Bar> bars;
};

using Block = std::variant<Heading,
                           Paragraph,
                           KeyFigures,
                           Table,
                           HeatMap,
                           Gallery,
                           Curves,
                           Scatter,
                           Details,
                           Bars>;

/// What a page says, without how it looks. The commands turn results into documents.
struct Document {
    std::string title;
    std::string subtitle;
    std::vector<Block> blocks;
};

/// One self-contained HTML page: no network, no script; light and dark, fit for print.
std::string to_html(const Document& document);

/// Before a page is made that takes long. An empty path is none.
/// Errors: `usage` where something else than a page is there.
void check_page_target(const std::filesystem::path& target);

/// Writes the page, whole or not at all, and replaces an earlier one.
/// Errors: those of `check_page_target`, `io`.
void write_page(const std::filesystem::path& target, const Document& document);

/// The same as Markdown: tables for what a page draws.
std::string to_markdown(const Document& document);

/// Text with &, <, > and quotes escaped for HTML, and control bytes but line breaks and tabs as in
/// `escape_controls`.
std::string escape_html(std::string_view text);

}  // namespace anamnesis::report
