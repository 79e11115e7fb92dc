// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "anamnesis/analysis/gradient_findings.hpp"
#include "anamnesis/analysis/gradient_series.hpp"
#include "anamnesis/analysis/locality.hpp"
#include "anamnesis/analysis/logit_gradients.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/report/document.hpp"

namespace anamnesis::analysis {
namespace {

using report::Document;

std::string format_length(const Curve& curve) {
    return curve.fit.is_exponential ? format("{:.1f}", curve.fit.length) : "–";
}

std::string format_interval(const Curve& curve) {
    return curve.length_interval
               ? format("[{:.1f}, {:.1f}]", curve.length_interval->low, curve.length_interval->high)
               : std::string();
}

/// The fitted curve over the range that it was fitted to.
report::Curves::Series make_fit_series(const std::string& name, const Curve& curve) {
    const DecayFit& fit = curve.fit;
    report::Curves::Series series{
        .name = format("{}: W = {:.0f}", name, fit.length), .points = {}, .has_markers = false};
    constexpr int steps = 60;
    for (int i = 0; i <= steps; ++i) {
        const double x = fit.first * std::pow(fit.last / fit.first, i / double{steps});
        const double y = fit.amplitude * std::exp(-x / fit.length) + fit.floor;
        series.points.push_back({.x = x, .y = y, .low = y, .high = y});
    }
    return series;
}

using NamedCurve = std::pair<std::string, const Curve*>;

void add_plot(Document& document,
              const std::string& caption,
              const std::string& y_label,
              const std::vector<NamedCurve>& curves) {
    report::Curves plot{.caption = caption,
                        .x_label = "distance in tokens",
                        .y_label = y_label,
                        .series = {},
                        .x_axis = report::Curves::Axis::logarithmic,
                        .y_axis = report::Curves::Axis::logarithmic};
    for (const auto& [name, curve] : curves) {
        plot.series.push_back(make_gradient_series(name, *curve));
    }
    for (const auto& [name, curve] : curves) {
        if (curve->fit.is_exponential) {
            plot.series.push_back(make_fit_series(name, *curve));
        }
    }
    std::erase_if(plot.series, [](const auto& series) { return series.points.empty(); });
    if (!plot.series.empty()) {
        document.blocks.emplace_back(std::move(plot));
    }
}

void add_key_figures(Document& document, const GradientFindings& findings) {
    report::KeyFigures figures;
    for (const GradientFindings::DataSet& set : findings.data) {
        const auto add = [&](const char* what, const Curve& curve) {
            figures.figures.push_back(
                {.value = format_length(curve),
                 .label = format("{}, {}{}",
                                 what,
                                 set.name,
                                 curve.fit.is_exponential ? " (tokens)" : ": no exponential")});
        };
        add("W_grad", set.locality.curve);
        add("W_corr", set.locality.correlation);
    }
    document.blocks.emplace_back(std::move(figures));
}

/// Which of two data sets has the shorter reach, or that it cannot be said.
void add_verdict(Document& document, const GradientFindings& findings) {
    if (findings.data.size() != 2) {
        return;
    }
    const auto& [first_name, first] = findings.data.front();
    const auto& [second_name, second] = findings.data.back();
    const Curve& a = first.curve;
    const Curve& b = second.curve;
    std::string text;
    if (!a.fit.is_exponential || !b.fit.is_exponential) {
        text = "No exponential fits both curves, so their decay lengths cannot be compared.";
    } else {
        const bool is_first_shorter = a.fit.length < b.fit.length;
        text = format("The gradients of {} decay faster: {:.1f} tokens against {:.1f} of {}.",
                      is_first_shorter ? first_name : second_name,
                      std::min(a.fit.length, b.fit.length),
                      std::max(a.fit.length, b.fit.length),
                      is_first_shorter ? second_name : first_name);
        const bool overlap = !a.length_interval || !b.length_interval ||
                             (a.length_interval->low <= b.length_interval->high &&
                              b.length_interval->low <= a.length_interval->high);
        if (overlap) {
            text += " Their intervals overlap: these examples do not settle which is shorter.";
        }
    }
    document.blocks.emplace_back(report::Paragraph{.text = std::move(text)});
}

void add_fits(Document& document, const GradientFindings& findings) {
    report::Table table{
        .caption = "Fits of A exp(-distance / W) + floor; 95 % bootstrap interval over examples",
        .columns = {"data", "curve", "W", "interval", "range", "R²", "R² power law", "why not"},
        .is_number = {false, false, true, true, true, true, true, false},
        .rows = {}};
    for (const GradientFindings::DataSet& set : findings.data) {
        const auto add = [&](const std::string& name, const Curve& curve) {
            const DecayFit& fit = curve.fit;
            const bool has_line = fit.has_line;
            table.rows.push_back(
                {set.name,
                 name,
                 format_length(curve),
                 format_interval(curve),
                 has_line ? format("{:.0f} to {:.0f}", fit.first, fit.last) : "",
                 has_line ? format("{:.3f}", fit.r_squared) : "",
                 has_line ? format("{:.3f}", fit.power_law_r_squared) : "",
                 curve.no_interval.empty() ? fit.reason : "no interval: " + curve.no_interval});
        };
        add("all softmax layers", set.locality.curve);
        for (const LayerLocality& layer : set.locality.layers) {
            add(format("layer {}", layer.layer), layer.curve);
        }
        add("token embeddings", set.locality.correlation);
    }
    document.blocks.emplace_back(std::move(table));
}

void add_layer_plots(Document& document, const GradientFindings& findings) {
    document.blocks.emplace_back(report::Heading{.level = 2, .text = "Layer by layer"});
    for (std::size_t i = 0; i < findings.data.front().locality.layers.size(); ++i) {
        std::vector<NamedCurve> curves;
        for (const GradientFindings::DataSet& set : findings.data) {
            curves.emplace_back(set.name, &set.locality.layers[i].curve);
        }
        add_plot(document,
                 format("Layer {}", findings.data.front().locality.layers[i].layer),
                 "mean |dL/ds|",
                 curves);
    }
}

/// log10 of g by head and distance.
report::HeatMap make_head_map(const std::string& caption, const LayerLocality& layer) {
    report::HeatMap map{.caption = caption,
                        .row_label = "query head",
                        .column_label = "distance",
                        .rows = {},
                        .columns = {},
                        .values = {},
                        .low = std::numeric_limits<double>::infinity(),
                        .high = -std::numeric_limits<double>::infinity()};
    for (const CurvePoint& point : layer.curve.points) {
        map.columns.push_back(format("{}", point.bin.first));
    }
    for (std::size_t head = 0; head < layer.heads.size(); ++head) {
        map.rows.push_back(format("{}", head));
        map.values.emplace_back();
        for (const CurvePoint& point : layer.heads[head].points) {
            std::optional<double> value;
            if (point.value > 0.0) {
                value = std::log10(point.value);
                map.low = std::min(map.low, *value);
                map.high = std::max(map.high, *value);
            }
            map.values.back().push_back(value);
        }
    }
    if (!(map.low < map.high)) {
        map.low = std::isfinite(map.low) ? map.low - 1.0 : 0.0;
        map.high = map.low + 2.0;
    }
    return map;
}

void add_head_maps(Document& document, const GradientFindings& findings) {
    document.blocks.emplace_back(
        report::Heading{.level = 2, .text = "Heads: log10 of the mean |dL/ds| by distance"});
    for (const GradientFindings::DataSet& set : findings.data) {
        report::Gallery gallery;
        for (const LayerLocality& layer : set.locality.layers) {
            gallery.maps.push_back(
                make_head_map(format("{}, layer {}", set.name, layer.layer), layer));
        }
        document.blocks.emplace_back(std::move(gallery));
    }
}

void add_bands(Document& document, const GradientFindings& findings) {
    report::Table table{
        .caption =
            "Frobenius norm of the gradient that reaches each projection through the pairs "
            "of a distance band, root mean square over examples. Routing is W_Q and W_K, "
            "extraction W_V and W_O",
        .columns =
            {"data", "layer", "distance", "W_Q", "W_K", "W_V", "W_O", "routing / extraction"},
        .is_number = {false, true, true, true, true, true, true, true},
        .rows = {}};
    for (const GradientFindings::DataSet& set : findings.data) {
        for (const LayerLocality& layer : set.locality.layers) {
            for (std::size_t i = 0; i < layer.bands.size(); ++i) {
                const BandNorms& norms = layer.bands[i];
                const double extraction = std::hypot(norms.value, norms.output);
                if (extraction == 0.0) {
                    continue;  // no text is that long
                }
                table.rows.push_back(
                    {set.name,
                     format("{}", layer.layer),
                     to_string(distance_bands()[i]),
                     format("{:.3g}", norms.query),
                     format("{:.3g}", norms.key),
                     format("{:.3g}", norms.value),
                     format("{:.3g}", norms.output),
                     format("{:.3f}", std::hypot(norms.query, norms.key) / extraction)});
            }
        }
    }
    if (table.rows.empty()) {
        return;
    }
    document.blocks.emplace_back(report::Heading{.level = 2, .text = "Routing and extraction"});
    document.blocks.emplace_back(std::move(table));
}

void add_settings(Document& document, const GradientFindings& findings) {
    document.blocks.emplace_back(report::Heading{.level = 2, .text = "Settings"});
    report::Table table{
        .caption = "", .columns = {"setting", "value"}, .is_number = {}, .rows = {}};
    table.rows.push_back({"model", findings.model});
    for (const auto& [key, value] : findings.settings.as_object("settings")) {
        table.rows.push_back({key, value.is_string() ? value.as_string(key) : value.dump()});
    }
    document.blocks.emplace_back(std::move(table));
}

std::vector<NamedCurve> collect_curves(const GradientFindings& findings, Curve Locality::* which) {
    std::vector<NamedCurve> curves;
    for (const GradientFindings::DataSet& set : findings.data) {
        curves.emplace_back(set.name, &(set.locality.*which));
    }
    return curves;
}

}  // namespace

Document to_document(const GradientFindings& findings) {
    std::string counts;
    for (const GradientFindings::DataSet& set : findings.data) {
        counts += format("{}: {} examples, {} tokens, {} predictions, loss {:.4f}. ",
                         set.name,
                         set.locality.examples,
                         set.locality.tokens,
                         set.locality.predictions,
                         set.locality.loss);
    }
    Document document{.title = "How far the loss reaches", .subtitle = counts, .blocks = {}};
    add_key_figures(document, findings);
    add_verdict(document, findings);
    add_plot(document,
             "g(distance): magnitude of the gradient of an attention logit, mean over softmax "
             "layers, heads and pairs; 95 % bootstrap interval over examples",
             "mean |dL/ds|",
             collect_curves(findings, &Locality::curve));
    add_plot(document,
             "Autocorrelation of the token embeddings, mean removed; what is not positive is not "
             "drawn",
             "correlation",
             collect_curves(findings, &Locality::correlation));
    add_fits(document, findings);
    add_layer_plots(document, findings);
    add_head_maps(document, findings);
    add_bands(document, findings);
    add_settings(document, findings);
    return document;
}

}  // namespace anamnesis::analysis
