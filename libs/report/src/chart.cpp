// SPDX-License-Identifier: Apache-2.0
#include "chart.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <limits>
#include <string>
#include <string_view>

#include "anamnesis/base/text.hpp"
#include "anamnesis/report/document.hpp"

#include "axis.hpp"

namespace anamnesis::report {
namespace {

constexpr double width = 720.0;
constexpr double height = 340.0;
constexpr double left = 62.0;
constexpr double right = 700.0;
constexpr double top = 16.0;
constexpr double bottom = 286.0;
constexpr std::size_t colours = 6;

struct Range {
    double low = std::numeric_limits<double>::infinity();
    double high = -std::numeric_limits<double>::infinity();

    void take(double value) {
        if (std::isfinite(value)) {
            low = std::min(low, value);
            high = std::max(high, value);
        }
    }
    void mend() {
        if (!(low <= high)) {
            low = 0.0;
            high = 1.0;
        }
    }
};

std::string opening(const std::string& caption, double total) {
    return format(
        "<figure><figcaption>{0}</figcaption><svg viewBox=\"0 0 {1:.0f} {2:.0f}\" "
        "width=\"{1:.0f}\" role=\"img\" aria-label=\"{0}\">",
        escape_html(caption),
        width,
        total);
}

std::string frame(const AxisScale& x,
                  const AxisScale& y,
                  const std::string& x_label,
                  const std::string& y_label) {
    std::string svg;
    for (const AxisScale::Tick& tick : y.ticks()) {
        const double at = y.place(tick.value);
        svg += format(
            "<line class=\"grid\" x1=\"{:.0f}\" x2=\"{:.0f}\" y1=\"{:.1f}\" y2=\"{:.1f}\"/>"
            "<text x=\"{:.0f}\" y=\"{:.1f}\" text-anchor=\"end\">{}</text>",
            left,
            right,
            at,
            at,
            left - 7.0,
            at + 4.0,
            tick.label);
    }
    for (const AxisScale::Tick& tick : x.ticks()) {
        const double at = x.place(tick.value);
        svg += format(
            "<line class=\"axis\" x1=\"{0:.1f}\" x2=\"{0:.1f}\" y1=\"{1:.0f}\" y2=\"{2:.0f}\"/>"
            "<text x=\"{0:.1f}\" y=\"{3:.0f}\" text-anchor=\"middle\">{4}</text>",
            at,
            bottom,
            bottom + 4.0,
            bottom + 17.0,
            tick.label);
    }
    svg += format(
        "<path class=\"axis\" d=\"M{:.0f} {:.0f}V{:.0f}H{:.0f}\"/>", left, top, bottom, right);
    svg += format(
        "<text x=\"{:.0f}\" y=\"{:.0f}\" text-anchor=\"middle\">{}</text>"
        "<text transform=\"translate(13 {:.0f}) rotate(-90)\" text-anchor=\"middle\">{}</text>",
        (left + right) / 2,
        bottom + 36.0,
        escape_html(x_label),
        (top + bottom) / 2,
        escape_html(y_label));
    return svg;
}

/// A circle, a square, a diamond or a triangle around a point.
std::string marker(std::size_t series, double x, double y) {
    constexpr double r = 4.5;
    switch (series % 4) {
        case 0:
            return format("<circle class=\"mark\" cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"{}\">", x, y, r);
        case 1:
            return format("<path class=\"mark\" d=\"M{:.1f} {:.1f}h8v8h-8z\">", x - 4.0, y - 4.0);
        case 2:
            return format("<path class=\"mark\" d=\"M{:.1f} {:.1f}l5.5 5.5l-5.5 5.5l-5.5 -5.5z\">",
                          x,
                          y - 5.5);
        default:
            return format("<path class=\"mark\" d=\"M{:.1f} {:.1f}l5.5 9h-11z\">", x, y - 5.5);
    }
}

std::string_view close_marker(std::size_t series) {
    return series % 4 == 0 ? "</circle>" : "</path>";
}

std::string whisker(double x1, double y1, double x2, double y2) {
    return format(
        "<line class=\"whisker\" x1=\"{:.1f}\" y1=\"{:.1f}\" x2=\"{:.1f}\" y2=\"{:.1f}\"/>",
        x1,
        y1,
        x2,
        y2);
}

std::string series_svg(const Curves::Series& series,
                       std::size_t index,
                       const AxisScale& x,
                       const AxisScale& y) {
    constexpr std::array<std::string_view, 4> dashes{"", "7 4", "2 4", "9 3 2 3"};
    std::string svg = format("<g class=\"s{}\">", index % colours);
    std::string path;
    for (const Curves::Point& point : series.points) {
        path +=
            format("{}{:.1f} {:.1f}", path.empty() ? 'M' : 'L', x.place(point.x), y.place(point.y));
    }
    svg += format("<path class=\"line\" stroke-dasharray=\"{}\" d=\"{}\"/>",
                  dashes.at(index % dashes.size()),
                  path);
    for (const Curves::Point& point : series.points) {
        if (!series.has_markers) {
            break;
        }
        const double at = x.place(point.x);
        svg += whisker(at, y.place(point.low), at, y.place(point.high));
        svg += format("{}<title>{}: {:.4g} at {:.6g} [{:.4g}, {:.4g}]</title>{}",
                      marker(index, at, y.place(point.y)),
                      escape_html(series.name),
                      point.y,
                      point.x,
                      point.low,
                      point.high,
                      close_marker(index));
    }
    return svg + "</g>";
}

std::string legend(const Curves& curves, double y) {
    std::string svg;
    double x = left;
    constexpr double letter = 6.4;
    for (std::size_t i = 0; i < curves.series.size(); ++i) {
        const std::string& name = curves.series[i].name;
        svg += format(
            "<g class=\"s{}\">{}{}</g><text class=\"name\" x=\"{:.1f}\" y=\"{:.1f}\">{}</text>",
            i % colours,
            marker(i, x + 5.0, y),
            close_marker(i),
            x + 14.0,
            y + 4.0,
            escape_html(name));
        x += letter * static_cast<double>(name.size()) + 36.0;
    }
    return svg;
}

}  // namespace

std::string curves_html(const Curves& curves) {
    Range across;
    Range up;
    for (const Curves::Series& series : curves.series) {
        for (const Curves::Point& point : series.points) {
            across.take(point.x);
            up.take(point.y);
            if (series.has_markers) {
                up.take(point.low);
                up.take(point.high);
            }
        }
    }
    across.mend();
    up.mend();
    const AxisScale x(across.low, across.high, curves.x_axis, left + 12.0, right - 12.0);
    const AxisScale y(
        curves.low.value_or(up.low), curves.high.value_or(up.high), curves.y_axis, bottom, top);
    std::string svg = opening(curves.caption, height + 14.0);
    svg += frame(x, y, curves.x_label, curves.y_label);
    for (std::size_t i = 0; i < curves.series.size(); ++i) {
        svg += series_svg(curves.series[i], i, x, y);
    }
    return svg + legend(curves, height) + "</svg></figure>\n";
}

std::string scatter_html(const Scatter& scatter) {
    Range across;
    Range up;
    for (const Scatter::Point& point : scatter.points) {
        for (const double value : {point.x, point.x_low, point.x_high}) {
            across.take(value);
        }
        for (const double value : {point.y, point.y_low, point.y_high}) {
            up.take(value);
        }
    }
    across.mend();
    up.mend();
    const AxisScale x(across.low, across.high, Curves::Axis::linear, left + 16.0, right - 90.0);
    const AxisScale y(up.low, up.high, Curves::Axis::linear, bottom - 10.0, top + 10.0);
    std::string svg = opening(scatter.caption, height - 8.0);
    svg += frame(x, y, scatter.x_label, scatter.y_label);
    for (std::size_t i = 0; i < scatter.points.size(); ++i) {
        const Scatter::Point& point = scatter.points[i];
        const double at_x = x.place(point.x);
        const double at_y = y.place(point.y);
        svg += format("<g class=\"s{}\">", i % colours);
        svg += whisker(x.place(point.x_low), at_y, x.place(point.x_high), at_y);
        svg += whisker(at_x, y.place(point.y_low), at_x, y.place(point.y_high));
        svg += format("{}<title>{}: {:.4g}, {:.4g}</title>{}</g>",
                      marker(i, at_x, at_y),
                      escape_html(point.name),
                      point.x,
                      point.y,
                      close_marker(i));
        svg += format("<text class=\"name\" x=\"{:.1f}\" y=\"{:.1f}\">{}</text>",
                      at_x + 9.0,
                      at_y - 6.0,
                      escape_html(point.name));
    }
    return svg + "</svg></figure>\n";
}

}  // namespace anamnesis::report
