// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/analysis/gradient_findings.hpp"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "anamnesis/analysis/decay_fit.hpp"
#include "anamnesis/analysis/locality.hpp"
#include "anamnesis/analysis/logit_gradients.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/eval/statistics.hpp"
#include "anamnesis/io/atomic_file.hpp"
#include "anamnesis/report/document.hpp"

namespace anamnesis::analysis {
namespace {

Json write_interval(const std::optional<eval::Interval>& interval) {
    if (!interval) {
        return {};
    }
    Json ends = Json::array();
    ends.push_back(interval->low);
    ends.push_back(interval->high);
    return ends;
}

Json write_fit(const Curve& curve) {
    const DecayFit& fit = curve.fit;
    Json json = Json::Object{{"is_exponential", fit.is_exponential}};
    if (fit.is_exponential) {
        json.set("decay_length", fit.length);
        json.set("interval", write_interval(curve.length_interval));
        if (!curve.no_interval.empty()) {
            json.set("interval_reason", curve.no_interval);
        }
    } else {
        json.set("reason", fit.reason);
    }
    if (fit.has_line) {
        json.set("amplitude", fit.amplitude);
        json.set("floor", fit.floor);
        Json range = Json::array();
        range.push_back(fit.first);
        range.push_back(fit.last);
        json.set("range", std::move(range));
        json.set("r_squared", fit.r_squared);
        json.set("power_law_r_squared", fit.power_law_r_squared);
    }
    return json;
}

Json write_curve(const Curve& curve) {
    Json points = Json::array();
    for (const CurvePoint& point : curve.points) {
        points.push_back(Json::Object{{"first", std::uint64_t{point.bin.first}},
                                      {"end", std::uint64_t{point.bin.end}},
                                      {"value", point.value},
                                      {"interval", write_interval(point.interval)},
                                      {"pairs", point.pairs}});
    }
    return Json::Object{{"fit", write_fit(curve)}, {"points", std::move(points)}};
}

Json write_bands(const std::vector<BandNorms>& norms) {
    Json bands = Json::array();
    for (std::size_t i = 0; i < norms.size(); ++i) {
        const DistanceBand& band = distance_bands()[i];
        const bool is_open = band.end == std::numeric_limits<std::size_t>::max();
        bands.push_back(Json::Object{{"first", std::uint64_t{band.first}},
                                     {"end", is_open ? Json() : Json(std::uint64_t{band.end})},
                                     {"q", norms[i].query},
                                     {"k", norms[i].key},
                                     {"v", norms[i].value},
                                     {"o", norms[i].output}});
    }
    return bands;
}

Json write_data(const Locality& locality) {
    Json layers = Json::object();
    for (const LayerLocality& layer : locality.layers) {
        Json heads = Json::array();
        for (const Curve& head : layer.heads) {
            heads.push_back(write_curve(head));
        }
        layers.set(format("{}", layer.layer),
                   Json::Object{{"gradient", write_curve(layer.curve)},
                                {"heads", std::move(heads)},
                                {"bands", write_bands(layer.bands)}});
    }
    return Json::Object{{"examples", std::uint64_t{locality.examples}},
                        {"tokens", std::uint64_t{locality.tokens}},
                        {"predictions", std::uint64_t{locality.predictions}},
                        {"loss", locality.loss},
                        {"gradient", write_curve(locality.curve)},
                        {"correlation", write_curve(locality.correlation)},
                        {"layers", std::move(layers)}};
}

std::string format_length(const Curve& curve) {
    if (!curve.fit.is_exponential) {
        return "no exponential: " + curve.fit.reason;
    }
    std::string text = format("{:.1f} tokens", curve.fit.length);
    if (curve.length_interval) {
        text +=
            format(" [{:.1f}, {:.1f}]", curve.length_interval->low, curve.length_interval->high);
    } else if (!curve.no_interval.empty()) {
        text += format(" (no interval: {})", curve.no_interval);
    }
    return text;
}

}  // namespace

const std::vector<DistanceBand>& distance_bands() {
    static const std::vector<DistanceBand> bands{
        {.first = 0, .end = 16},
        {.first = 16, .end = 128},
        {.first = 128, .end = 1024},
        {.first = 1024, .end = 8192},
        {.first = 8192, .end = std::numeric_limits<std::size_t>::max()}};
    return bands;
}

std::string to_string(const DistanceBand& band) {
    return band.end == std::numeric_limits<std::size_t>::max()
               ? format("{} and more", band.first)
               : format("{} to {}", band.first, band.end - 1);
}

Json to_json(const GradientFindings& findings) {
    Json data = Json::object();
    for (const GradientFindings::DataSet& set : findings.data) {
        data.set(set.name, write_data(set.locality));
    }
    return Json::Object{
        {"model", findings.model}, {"settings", findings.settings}, {"data", std::move(data)}};
}

std::string to_text(const GradientFindings& findings) {
    std::string text;
    for (const GradientFindings::DataSet& set : findings.data) {
        text += format("{}: {} examples, {} tokens, {} predictions, loss {:.4f}\n  W_grad {}\n",
                       set.name,
                       set.locality.examples,
                       set.locality.tokens,
                       set.locality.predictions,
                       set.locality.loss,
                       format_length(set.locality.curve));
        for (const LayerLocality& layer : set.locality.layers) {
            text += format("    layer {}: {}\n", layer.layer, format_length(layer.curve));
        }
        text += format("  W_corr {}\n", format_length(set.locality.correlation));
    }
    return text;
}

void write_reports(const GradientFindings& findings, const std::filesystem::path& folder) {
    const report::Document document = to_document(findings);
    io::write_text_atomically(folder / "report.html", report::to_html(document));
    io::write_text_atomically(folder / "summary.md", report::to_markdown(document));
    io::write_text_atomically(folder / "summary.json", to_json(findings).dump(2) + "\n");
}

}  // namespace anamnesis::analysis
