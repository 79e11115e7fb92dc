// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/report/document.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/dissection/findings.hpp"
#include "anamnesis/eval/statistics.hpp"
#include "anamnesis/io/atomic_file.hpp"

namespace anamnesis::dissection {
namespace {

std::string percent(const std::optional<double>& share) {
    return share ? format("{:.0f} %", 100.0 * *share) : std::string("nothing to tell");
}

std::string describe_interval(const std::optional<eval::Interval>& interval) {
    return interval ? format("[{:.0f}, {:.0f}]", 100.0 * interval->low, 100.0 * interval->high)
                    : std::string();
}

report::Table make_table(const std::string& caption, const std::vector<Outcome>& outcomes) {
    report::Table table{.caption = caption,
                        .columns = {"from pre",
                                    "recall -ln p",
                                    "comes back",
                                    "interval",
                                    "texts right",
                                    "reasoning -ln p",
                                    "is kept",
                                    "interval",
                                    "texts right"},
                        .is_number = {false, true, true, true, true, true, true, true, true},
                        .rows = {}};
    for (const Outcome& outcome : outcomes) {
        table.rows.push_back(
            {outcome.name,
             format("{:.4f}", outcome.recall.loss),
             percent(outcome.recall.share),
             describe_interval(outcome.recall.share_interval),
             format("{}/{}", outcome.recall.right_texts, outcome.recall.texts),
             format("{:.4f}", outcome.reasoning.loss),
             percent(outcome.reasoning.share),
             describe_interval(outcome.reasoning.share_interval),
             format("{}/{}", outcome.reasoning.right_texts, outcome.reasoning.texts)});
    }
    return table;
}

/// Recall gain by layer and group; candidates outside the layers are a row of their own.
report::HeatMap make_map(const Findings& findings) {
    report::HeatMap map{.caption =
                            "Recall that comes back (-ln p) of pre's weights in post, by layer and "
                            "group, on the half of the texts that chooses; of heads the best",
                        .row_label = "layer",
                        .column_label = "group",
                        .rows = {},
                        .columns = {},
                        .values = {}};
    std::vector<std::optional<std::uint32_t>> layers;
    for (const Candidate& candidate : findings.candidates) {
        if (std::ranges::find(map.columns, candidate.group) == map.columns.end()) {
            map.columns.push_back(candidate.group);
        }
        if (std::ranges::find(layers, candidate.layer) == layers.end()) {
            layers.push_back(candidate.layer);
        }
    }
    std::ranges::sort(layers);
    std::ranges::sort(map.columns);
    double largest = 0.0;
    for (const auto& layer : layers) {
        map.rows.push_back(layer ? format("{}", *layer) : std::string("all"));
        auto& row = map.values.emplace_back(map.columns.size());
        for (const Candidate& candidate : findings.candidates) {
            if (candidate.layer != layer) {
                continue;
            }
            const auto column = static_cast<std::size_t>(
                std::ranges::find(map.columns, candidate.group) - map.columns.begin());
            row[column] =
                std::max(row[column].value_or(candidate.recall_gain), candidate.recall_gain);
            largest = std::max(largest, std::abs(candidate.recall_gain));
        }
    }
    map.low = -largest;
    map.high = largest;
    map.scale = report::HeatMap::Scale::diverging;
    map.decimals = 3;
    return map;
}

/// Recall against reasoning; up and to the right is better.
report::Scatter make_front(const Findings& findings) {
    report::Scatter scatter{.caption = "What each repair wins back and keeps",
                            .x_label = "reasoning kept %",
                            .y_label = "recall back %",
                            .points = {}};
    for (const std::vector<Outcome>* list : {&findings.found, &findings.methods}) {
        for (const Outcome& outcome : *list) {
            if (!outcome.recall.share || !outcome.reasoning.share) {
                continue;
            }
            const double x = 100.0 * *outcome.reasoning.share;
            const double y = 100.0 * *outcome.recall.share;
            const auto& across = outcome.reasoning.share_interval;
            const auto& along = outcome.recall.share_interval;
            scatter.points.push_back({.name = outcome.name,
                                      .x = x,
                                      .y = y,
                                      .x_low = across ? 100.0 * across->low : x,
                                      .x_high = across ? 100.0 * across->high : x,
                                      .y_low = along ? 100.0 * along->low : y,
                                      .y_high = along ? 100.0 * along->high : y});
        }
    }
    return scatter;
}

report::Table make_candidates(const Findings& findings) {
    report::Table table{
        .caption =
            "Every candidate, on the half of the texts that chooses: what it wins (-ln p, post "
            "less candidate), and what post's weights cost pre",
        .columns = {"candidate", "texts", "recall", "reasoning", "cost of recall in pre"},
        .is_number = {false, true, true, true, true},
        .rows = {}};
    for (const Candidate& candidate : findings.candidates) {
        table.rows.push_back(
            {candidate.name,
             format("{}", candidate.texts),
             format("{:+.4f}", candidate.recall_gain),
             format("{:+.4f}", candidate.reasoning_gain),
             candidate.is_reversed ? format("{:+.4f}", candidate.reverse_recall_loss) : ""});
    }
    return table;
}

}  // namespace

report::Document to_document(const Findings& findings) {
    report::Document document{
        .title = "Which weights carry the damage",
        .subtitle =
            "Groups of pre put into post, in memory, on the same texts. Half of the texts chose: "
            "the map, the worths and the list of candidates are of these. All that comes back or "
            "is kept is of the other half.",
        .blocks = {}};
    report::KeyFigures figures;
    figures.figures.push_back(
        {.value = findings.carrier.empty() ? std::string("none") : findings.carrier,
         .label = "carries most of the damage"});
    figures.figures.push_back({.value = findings.best.empty() ? std::string("none") : findings.best,
                               .label = "the best repair"});
    document.blocks.emplace_back(std::move(figures));
    for (const std::string& warning : findings.warnings) {
        document.blocks.emplace_back(report::Paragraph{.text = "Warning: " + warning + "."});
    }
    if (const Outcome* best = find_best(findings)) {
        document.blocks.emplace_back(
            report::Details{.summary = "How to make it", .texts = {join(best->commands, "\n")}});
    }
    if (!findings.candidates.empty()) {
        document.blocks.emplace_back(make_map(findings));
    }
    if (report::Scatter front = make_front(findings); !front.points.empty()) {
        document.blocks.emplace_back(std::move(front));
    }
    document.blocks.emplace_back(make_table("Before and after", {findings.pre, findings.post}));
    document.blocks.emplace_back(make_table("Weights of pre, alone and together", findings.found));
    if (findings.found.size() > 1) {
        document.blocks.emplace_back(report::Paragraph{
            .text = format("On the texts that choose, the parts of the best union are worth {:.2f} "
                           "one by one and {:.2f} together.",
                           findings.additive,
                           findings.together)});
    }
    document.blocks.emplace_back(make_table("Other methods", findings.methods));
    document.blocks.emplace_back(make_candidates(findings));
    if (!findings.skipped.empty()) {
        document.blocks.emplace_back(
            report::Details{.summary = "Left out", .texts = findings.skipped});
    }
    return document;
}

std::filesystem::path write_report(const Findings& findings, const std::filesystem::path& folder) {
    const report::Document document = to_document(findings);
    const std::filesystem::path page = folder / "report.html";
    io::write_text_atomically(page, report::to_html(document));
    io::write_text_atomically(folder / "summary.md", report::to_markdown(document));
    io::write_text_atomically(folder / "summary.json", to_json(findings).dump(2) + "\n");
    return page;
}

}  // namespace anamnesis::dissection
