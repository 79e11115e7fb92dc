// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "anamnesis/analysis/attention_findings.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/eval/checkpoint_roles.hpp"
#include "anamnesis/io/atomic_file.hpp"
#include "anamnesis/report/document.hpp"
#include "anamnesis/report/text_table.hpp"

namespace anamnesis::analysis {
namespace {

using report::Document;
using report::HeatMap;

/// The mean over all layers and heads of one checkpoint; NaN values are left out.
double average_all(const std::vector<std::vector<double>>& layers) {
    double sum = 0.0;
    std::size_t count = 0;
    for (const std::vector<double>& heads : layers) {
        for (const double value : heads) {
            sum += std::isfinite(value) ? value : 0.0;
            count += std::isfinite(value) ? 1 : 0;
        }
    }
    return count == 0 ? std::numeric_limits<double>::quiet_NaN() : sum / static_cast<double>(count);
}

std::string format_figure(double value) {
    return std::isfinite(value) ? format("{:.4g}", value) : "–";
}

HeatMap make_map(const AttentionFindings& findings, std::size_t checkpoint, std::size_t measure) {
    const auto& layers = findings.means[checkpoint][measure];
    HeatMap map{.caption = findings.checkpoints[checkpoint],
                .row_label = "layer",
                .column_label = "query head",
                .rows = {},
                .columns = {},
                .values = {},
                .low = 0.0,
                .high = 0.0};
    for (std::size_t layer = 0; layer < layers.size(); ++layer) {
        map.rows.push_back(format("{}", findings.layers[layer]));
        map.values.emplace_back();
        for (std::size_t head = 0; head < layers[layer].size(); ++head) {
            const double value = layers[layer][head];
            map.values.back().push_back(std::isfinite(value) ? std::optional(value) : std::nullopt);
            if (layer == 0) {
                map.columns.push_back(format("{}", head));
            }
        }
    }
    // One scale for all checkpoints.
    for (const auto& other : findings.means) {
        for (const auto& heads : other[measure]) {
            for (const double value : heads) {
                map.high = std::isfinite(value) ? std::max(map.high, value) : map.high;
            }
        }
    }
    map.high = map.high > 0.0 ? map.high : 1.0;
    return map;
}

HeatMap subtract_map(const HeatMap& from, const HeatMap& to) {
    HeatMap map = from;
    map.caption = format("{} minus {}", to.caption, from.caption);
    map.scale = HeatMap::Scale::diverging;
    map.high = 0.0;
    for (std::size_t row = 0; row < map.values.size(); ++row) {
        for (std::size_t column = 0; column < map.values[row].size(); ++column) {
            auto& value = map.values[row][column];
            const auto& after = to.values[row][column];
            value = value && after ? std::optional(*after - *value) : std::nullopt;
            map.high = value ? std::max(map.high, std::fabs(*value)) : map.high;
        }
    }
    map.high = map.high > 0.0 ? map.high : 1.0;
    map.low = -map.high;
    return map;
}

std::size_t find_checkpoint(const AttentionFindings& findings, const std::string& checkpoint) {
    return static_cast<std::size_t>(std::ranges::find(findings.checkpoints, checkpoint) -
                                    findings.checkpoints.begin());
}

void add_maps(Document& document, const AttentionFindings& findings, std::size_t measure) {
    document.blocks.emplace_back(
        report::Heading{.level = 2, .text = findings.measures[measure].name});
    report::Gallery gallery;
    for (std::size_t i = 0; i < findings.checkpoints.size(); ++i) {
        gallery.maps.push_back(make_map(findings, i, measure));
    }
    document.blocks.emplace_back(std::move(gallery));
    const eval::CheckpointRoles& roles = findings.roles;
    if (roles.pre.empty() || roles.post.empty()) {
        return;
    }
    const auto named = [&](const std::string& name) {
        return make_map(findings, find_checkpoint(findings, name), measure);
    };
    report::Gallery differences;
    differences.maps.push_back(subtract_map(named(roles.pre), named(roles.post)));
    for (const std::string& repaired : roles.repaired) {
        differences.maps.push_back(subtract_map(named(roles.post), named(repaired)));
    }
    document.blocks.emplace_back(std::move(differences));
}

std::vector<std::vector<std::string>> make_overall_rows(const AttentionFindings& findings) {
    std::vector<std::vector<std::string>> rows;
    for (std::size_t i = 0; i < findings.checkpoints.size(); ++i) {
        std::vector<std::string> row{findings.checkpoints[i]};
        for (std::size_t measure = 0; measure < findings.measures.size(); ++measure) {
            row.push_back(format_figure(average_all(findings.means[i][measure])));
        }
        if (!findings.answered.empty()) {
            row.push_back(format("{:.1f}", 100.0 * findings.answered[i]));
        }
        rows.push_back(std::move(row));
    }
    return rows;
}

void add_overall(Document& document, const AttentionFindings& findings) {
    report::Table table{.caption = "Means over softmax layers, heads and texts",
                        .columns = {"checkpoint"},
                        .is_number = {false},
                        .rows = make_overall_rows(findings)};
    for (const HeadMeasure& measure : findings.measures) {
        table.columns.push_back(measure.name);
        table.is_number.push_back(true);
    }
    if (!findings.answered.empty()) {
        table.columns.emplace_back("answered, %");
        table.is_number.push_back(true);
    }
    document.blocks.emplace_back(std::move(table));
}

void add_changes(Document& document, const AttentionFindings& findings) {
    if (findings.changes.empty()) {
        return;
    }
    document.blocks.emplace_back(report::Heading{.level = 2, .text = "Changes on the same texts"});
    report::Table table{
        .caption =
            "Means over the heads of a layer; 95 % bootstrap interval of the difference, "
            "over texts",
        .columns = {"from", "to", "layer", "measure", "before", "difference", "interval"},
        .is_number = {false, false, true, false, true, true, true},
        .rows = {}};
    for (const AttentionChange& change : findings.changes) {
        table.rows.push_back(
            {change.first,
             change.second,
             format("{}", change.layer),
             change.measure,
             format_figure(change.before),
             format("{:+.4g}", change.difference),
             format("[{:+.4g}, {:+.4g}]", change.interval.low, change.interval.high)});
    }
    document.blocks.emplace_back(std::move(table));
}

void add_settings(Document& document, const AttentionFindings& findings) {
    document.blocks.emplace_back(report::Heading{.level = 2, .text = "Settings"});
    report::Table table{
        .caption = "", .columns = {"setting", "value"}, .is_number = {}, .rows = {}};
    for (const auto& [key, value] : findings.settings.as_object("settings")) {
        table.rows.push_back({key, value.is_string() ? value.as_string(key) : value.dump()});
    }
    document.blocks.emplace_back(std::move(table));
}

Json write_checkpoint(const AttentionFindings& findings, std::size_t checkpoint) {
    Json layers = Json::object();
    for (std::size_t layer = 0; layer < findings.layers.size(); ++layer) {
        Json measures = Json::object();
        for (std::size_t i = 0; i < findings.measures.size(); ++i) {
            Json heads = Json::array();
            for (const double value : findings.means[checkpoint][i][layer]) {
                heads.push_back(value);
            }
            measures.set(findings.measures[i].key, std::move(heads));
        }
        layers.set(format("{}", findings.layers[layer]), std::move(measures));
    }
    Json json = Json::Object{{"layers", std::move(layers)}};
    if (!findings.answered.empty()) {
        json.set("answered", findings.answered[checkpoint]);
    }
    return json;
}

}  // namespace

Json to_json(const AttentionFindings& findings) {
    Json checkpoints = Json::object();
    for (std::size_t i = 0; i < findings.checkpoints.size(); ++i) {
        checkpoints.set(findings.checkpoints[i], write_checkpoint(findings, i));
    }
    Json changes = Json::array();
    for (const AttentionChange& change : findings.changes) {
        Json interval = Json::array();
        interval.push_back(change.interval.low);
        interval.push_back(change.interval.high);
        changes.push_back(Json::Object{{"first", change.first},
                                       {"second", change.second},
                                       {"layer", std::uint64_t{change.layer}},
                                       {"measure", change.measure},
                                       {"before", change.before},
                                       {"difference", change.difference},
                                       {"interval", std::move(interval)}});
    }
    return Json::Object{{"settings", findings.settings},
                        {"texts", std::uint64_t{findings.texts}},
                        {"checkpoints", std::move(checkpoints)},
                        {"changes", std::move(changes)}};
}

Document to_document(const AttentionFindings& findings) {
    Document document{
        .title = "Where attention looks",
        .subtitle = format("{} texts, {} checkpoint{}, every query of every softmax layer.",
                           findings.texts,
                           findings.checkpoints.size(),
                           findings.checkpoints.size() == 1 ? "" : "s"),
        .blocks = {}};
    report::KeyFigures figures;
    for (std::size_t i = 0; i < findings.checkpoints.size(); ++i) {
        figures.figures.push_back(
            {.value = format_figure(average_all(findings.means[i].front())),
             .label = format("{}: mean attention distance, tokens", findings.checkpoints[i])});
    }
    document.blocks.emplace_back(std::move(figures));
    add_overall(document, findings);
    for (std::size_t measure = 0; measure < findings.measures.size(); ++measure) {
        add_maps(document, findings, measure);
    }
    add_changes(document, findings);
    add_settings(document, findings);
    return document;
}

std::string to_text(const AttentionFindings& findings) {
    std::vector<std::string> columns{"checkpoint"};
    for (const HeadMeasure& measure : findings.measures) {
        columns.push_back(">" + measure.key);
    }
    if (!findings.answered.empty()) {
        columns.emplace_back(">answered %");
    }
    return report::text_table(columns, make_overall_rows(findings));
}

void write_reports(const AttentionFindings& findings, const std::filesystem::path& folder) {
    const Document document = to_document(findings);
    io::write_text_atomically(folder / "report.html", report::to_html(document));
    io::write_text_atomically(folder / "summary.md", report::to_markdown(document));
    io::write_text_atomically(folder / "summary.json", to_json(findings).dump(2) + "\n");
}

}  // namespace anamnesis::analysis
