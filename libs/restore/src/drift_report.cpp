// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/restore/drift_report.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "anamnesis/base/index.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/finding.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/report/document.hpp"
#include "anamnesis/report/text_table.hpp"
#include "anamnesis/restore/checkpoint_drift.hpp"
#include "anamnesis/restore/drift_measures.hpp"
#include "anamnesis/restore/plan.hpp"

#include "drift_gaps.hpp"

namespace anamnesis::restore {
namespace {

Json number_or_null(const std::optional<double>& value) {
    return value && std::isfinite(*value) ? Json(*value) : Json();
}

Json layer_json(const std::optional<LayerIndex>& layer) {
    return layer ? Json(layer->value) : Json();
}

/// Layers of a heat map, and a value for each of its columns.
struct Grid {
    std::vector<std::string> rows;
    std::vector<std::vector<std::optional<double>>> values;
    std::size_t columns = 0;
    double high = 0.0;
};

void put(Grid& grid, const std::string& row, std::size_t column, std::optional<double> value) {
    if (grid.rows.empty() || grid.rows.back() != row) {
        grid.rows.push_back(row);
        grid.values.emplace_back();
    }
    auto& cells = grid.values.back();
    cells.resize(std::max(cells.size(), column + 1));
    if (value && std::isfinite(*value)) {
        cells[column] = value;
        grid.high = std::max(grid.high, *value);
    }
    grid.columns = std::max(grid.columns, column + 1);
}

void add_map(report::Document& document,
             const Grid& grid,
             const std::string& caption,
             const std::string& column_label) {
    if (grid.rows.empty()) {
        return;
    }
    report::HeatMap map{.caption = caption,
                        .row_label = "layer",
                        .column_label = column_label,
                        .rows = grid.rows,
                        .columns = {},
                        .values = grid.values,
                        .low = 0.0,
                        .high = grid.high > 0.0 ? grid.high : 1.0};
    for (std::size_t i = 0; i < grid.columns; ++i) {
        map.columns.push_back(format("{}", i));
    }
    document.blocks.emplace_back(std::move(map));
}

std::string row_name(const std::optional<LayerIndex>& layer) {
    return layer ? format("{}", layer->value) : std::string("mtp");
}

void add_head_maps(report::Document& document, const CheckpointDrift& drift) {
    Grid routing;
    Grid plain;
    Grid aligned;
    Grid keys;
    for (const RoutingGroupDrift& group : drift.heads) {
        if (group.is_shared_key) {
            continue;
        }
        const std::string row = row_name(group.layer);
        for (std::size_t i = 0; i < group.query_heads.size(); ++i) {
            const std::size_t head = group.query_heads[i];
            put(routing, row, head, group.drift.routing.at(i));
            put(plain, row, head, group.drift.queries.at(i).relative());
            if (group.drift.aligned) {
                put(aligned, row, head, group.drift.aligned->queries.at(i));
            }
        }
        put(keys, row, group.kv_head, group.drift.key.relative());
    }
    add_map(document, routing, "Routing drift of W_Q W_K^T", "query head");
    add_map(document, plain, "Drift of W_Q", "query head");
    add_map(document, aligned, "Drift of W_Q in the nearest gauge", "query head");
    add_map(document, keys, "Drift of W_K", "key head");
}

void add_layer_map(report::Document& document,
                   const RecognisedCheckpoint& post,
                   const CheckpointDrift& drift) {
    auto parts = drift.parts();
    // These lie in no layer.
    std::erase_if(parts, [](const std::string& part) {
        return part == "embedding" || part == "head" || part == "other";
    });
    report::HeatMap map{.caption = "Relative Frobenius drift by layer and part",
                        .row_label = "layer",
                        .column_label = "part",
                        .rows = {},
                        .columns = parts,
                        .values = {},
                        .low = 0.0,
                        .high = 0.0};
    for (const checkpoint::Layer& layer : post.model.layers) {
        map.rows.push_back(format("{}{}", layer.index.value, layer.is_softmax() ? " *" : ""));
        auto& cells = map.values.emplace_back();
        for (const std::string& part : parts) {
            const DriftSums sums = drift.of(layer.index, part);
            const double value = sums.relative();
            const bool is_measured = sums.count > 0 && std::isfinite(value);
            cells.push_back(is_measured ? std::optional(value) : std::nullopt);
            map.high = std::max(map.high, is_measured ? value : 0.0);
        }
    }
    document.blocks.emplace_back(std::move(map));
    document.blocks.emplace_back(report::Paragraph{"* layers with softmax attention"});
}

/// Median and largest routing drift of a layer's query heads.
std::pair<std::string, std::string> summarise_routing(const CheckpointDrift& drift,
                                                      LayerIndex layer) {
    std::vector<double> values;
    for (const RoutingGroupDrift& group : drift.heads) {
        if (group.layer == layer && !group.is_shared_key) {
            for (const auto& value : group.drift.routing) {
                if (value && std::isfinite(*value)) {
                    values.push_back(*value);
                }
            }
        }
    }
    if (values.empty()) {
        return {"-", "-"};
    }
    std::ranges::sort(values);
    return {report::short_number(values[values.size() / 2]), report::short_number(values.back())};
}

}  // namespace

std::string describe_drift(const CheckpointDrift& drift) {
    DriftSums routing = drift.of({}, "q");
    routing.merge(drift.of({}, "k"));
    DriftSums rest;
    for (const std::string& part : drift.parts()) {
        if (part != "q" && part != "k") {
            rest.merge(drift.of({}, part));
        }
    }
    if (routing.count == 0 || rest.count == 0 || !std::isfinite(routing.relative()) ||
        !std::isfinite(rest.relative())) {
        return "the drift of W_Q and W_K could not be compared with the rest";
    }
    if (routing.relative() == 0.0 && rest.relative() == 0.0) {
        return "nothing moved: pre and post hold the same values";
    }
    if (rest.relative() == 0.0) {
        return format("W_Q and W_K of the softmax layers moved by {}, the rest did not move at all",
                      report::short_number(routing.relative()));
    }
    const double ratio = routing.relative() / rest.relative();
    return format("W_Q and W_K of the softmax layers moved {} as far as the rest ({} against {})",
                  format("{:.2f} times", ratio),
                  report::short_number(routing.relative()),
                  report::short_number(rest.relative()));
}

report::Document make_drift_document(const RecognisedCheckpoint& pre,
                                     const RecognisedCheckpoint& post,
                                     const CheckpointDrift& drift) {
    report::Document document;
    document.title = "Drift of a fine-tune";
    document.subtitle = format("{} from {} to {}",
                               post.model.family,
                               pre.checkpoint.path().string(),
                               post.checkpoint.path().string());
    report::KeyFigures figures;
    for (const char* part : {"q", "k", "v", "o", "mixer", "mlp"}) {
        const DriftSums sums = drift.of({}, part);
        if (sums.count > 0) {
            figures.figures.push_back(
                {report::short_number(sums.relative()), format("drift of {}", part)});
        }
    }
    document.blocks.emplace_back(std::move(figures));
    document.blocks.emplace_back(report::Paragraph{
        describe_drift(drift) + ". Drift is ||post - pre|| / ||pre|| in the Frobenius norm."});
    document.blocks.emplace_back(report::Heading{2, "Layers"});
    add_layer_map(document, post, drift);
    document.blocks.emplace_back(report::Heading{2, "Heads of the softmax layers"});
    document.blocks.emplace_back(report::Paragraph{format("Gauge: {}.", drift.gauge)});
    add_head_maps(document, drift);
    report::Bars bars{.caption = "Drift by part, all layers", .bars = {}};
    for (const std::string& part : drift.parts()) {
        const double value = drift.of({}, part).relative();
        if (std::isfinite(value)) {
            bars.bars.push_back(
                {.label = part, .value = value, .is_emphasised = part == "q" || part == "k"});
        }
    }
    document.blocks.emplace_back(report::Heading{2, "Parts"});
    document.blocks.emplace_back(std::move(bars));
    if (!drift.findings.empty()) {
        document.blocks.emplace_back(report::Heading{2, "Findings"});
        for (const checkpoint::Finding& finding : drift.findings) {
            document.blocks.emplace_back(report::Paragraph{format(
                "{}, {}: {}", finding.where, to_string(finding.severity), describe(finding))});
        }
    }
    if (!drift.notes.empty()) {
        document.blocks.emplace_back(report::Heading{2, "Not measured"});
        for (const std::string& note : drift.notes) {
            document.blocks.emplace_back(report::Paragraph{note});
        }
    }
    return document;
}

Json make_drift_json(const RecognisedCheckpoint& pre,
                     const RecognisedCheckpoint& post,
                     const CheckpointDrift& drift) {
    Json json = Json::Object{{"pre", pre.checkpoint.path().string()},
                             {"post", post.checkpoint.path().string()},
                             {"family", post.model.family},
                             {"gauge", drift.gauge},
                             {"verdict", describe_drift(drift)}};
    Json parts = Json::object();
    for (const std::string& part : drift.parts()) {
        parts.set(part, drift.of({}, part).relative());
    }
    json.set("parts", std::move(parts));
    Json tensors = Json::array();
    for (const TensorDrift& tensor : drift.tensors) {
        tensors.push_back(Json::Object{{"name", tensor.name},
                                       {"layer", layer_json(tensor.layer)},
                                       {"part", tensor.part},
                                       {"drift", tensor.sums.relative()},
                                       {"non_finite_pairs", tensor.sums.skipped}});
    }
    json.set("tensors", std::move(tensors));
    Json heads = Json::array();
    for (const RoutingGroupDrift& group : drift.heads) {
        Json queries = Json::array();
        for (std::size_t i = 0; i < group.query_heads.size(); ++i) {
            Json query = Json::Object{{"head", group.query_heads[i]},
                                      {"plain", group.drift.queries.at(i).relative()},
                                      {"routing", number_or_null(group.drift.routing.at(i))}};
            if (group.drift.aligned) {
                query.set("aligned", group.drift.aligned->queries.at(i));
            }
            queries.push_back(std::move(query));
        }
        Json entry = Json::Object{{"layer", layer_json(group.layer)},
                                  {"key_head", group.kv_head},
                                  {"shared_rotary_key", group.is_shared_key},
                                  {"key_plain", group.drift.key.relative()},
                                  {"query_heads", std::move(queries)}};
        if (group.drift.aligned) {
            entry.set("key_aligned", group.drift.aligned->key);
            entry.set("group_aligned", group.drift.aligned->group);
            Json angles = Json::array();
            for (const double angle : group.drift.aligned->angles) {
                angles.push_back(angle);
            }
            entry.set("angles", std::move(angles));
        }
        heads.push_back(std::move(entry));
    }
    json.set("heads", std::move(heads));
    Json notes = Json::array();
    for (const std::string& note : drift.notes) {
        notes.push_back(note);
    }
    json.set("notes", std::move(notes));
    json.set("findings", checkpoint::to_json(drift.findings));
    return json;
}

std::string make_drift_table(const RecognisedCheckpoint& post, const CheckpointDrift& drift) {
    std::vector<std::string> columns{">layer", "kind"};
    const auto parts = drift.parts();
    for (const std::string& part : parts) {
        if (part != "embedding" && part != "head" && part != "other") {
            columns.push_back(">" + part);
        }
    }
    columns.emplace_back(">routing");
    columns.emplace_back(">max");
    std::vector<std::vector<std::string>> rows;
    const auto cells = [&](const std::optional<LayerIndex>& layer, std::vector<std::string> row) {
        for (std::size_t i = 2; i + 2 < columns.size(); ++i) {
            const DriftSums sums = drift.of(layer, columns[i].substr(1));
            row.push_back(sums.count == 0 ? "." : report::short_number(sums.relative()));
        }
        return row;
    };
    for (const checkpoint::Layer& layer : post.model.layers) {
        std::vector<std::string> kinds;
        for (const auto kind : layer.kinds) {
            kinds.emplace_back(checkpoint::to_string(kind));
        }
        auto row = cells(layer.index, {format("{}", layer.index.value), join(kinds, "+")});
        const auto [median, largest] = summarise_routing(drift, layer.index);
        row.push_back(layer.is_softmax() ? median : ".");
        row.push_back(layer.is_softmax() ? largest : ".");
        rows.push_back(std::move(row));
    }
    auto all = cells({}, {"all", ""});
    all.emplace_back("");
    all.emplace_back("");
    rows.push_back(std::move(all));
    return report::text_table(columns, rows);
}

bool is_routing_drift_within(const CheckpointDrift& drift, double limit) {
    return drift.routing_gaps.empty() && std::ranges::any_of(drift.tensors, is_of_routing) &&
           std::ranges::none_of(drift.tensors, [&](const TensorDrift& tensor) {
               return is_of_routing(tensor) && tensor.sums.relative() > limit;
           });
}

}  // namespace anamnesis::restore
