// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/eval/lengths.hpp"
#include "anamnesis/eval/niah_findings.hpp"
#include "anamnesis/eval/niah_summary.hpp"
#include "anamnesis/eval/statistics.hpp"
#include "anamnesis/report/document.hpp"

#include "coverage.hpp"
#include "niah_samples.hpp"
#include "percent.hpp"
#include "repeats.hpp"
#include "settings_table.hpp"
#include "unknown_tokens.hpp"

namespace anamnesis::eval {
namespace {

using report::Document;
using report::HeatMap;

const NiahCell* find_cell(const NiahSummary& summary,
                          const std::string& checkpoint,
                          const std::string& task,
                          std::size_t length) {
    const auto found = std::ranges::find_if(summary.cells, [&](const NiahCell& cell) {
        return cell.checkpoint == checkpoint && cell.task == task && cell.length == length;
    });
    return found == summary.cells.end() ? nullptr : &*found;
}

std::vector<std::string> length_labels(const NiahSummary& summary) {
    std::vector<std::string> labels;
    for (const std::size_t length : summary.lengths) {
        labels.push_back(short_length(length));
    }
    return labels;
}

void add_key_figures(Document& document, const NiahFindings& findings) {
    const NiahSummary& summary = findings.summary;
    if (summary.lengths.empty()) {
        return;
    }
    const std::size_t longest = summary.lengths.back();
    report::KeyFigures figures;
    for (const std::string& checkpoint : summary.checkpoints) {
        double sum = 0.0;
        std::size_t count = 0;
        for (const std::string& task : summary.tasks) {
            if (const auto* cell = find_cell(summary, checkpoint, task, longest)) {
                sum += cell->score;
                ++count;
            }
        }
        if (count > 0) {
            figures.figures.push_back({.value = percent(sum / static_cast<double>(count)) + " %",
                                       .label = format("{}, mean of {} task{} at {}",
                                                       checkpoint,
                                                       count,
                                                       count == 1 ? "" : "s",
                                                       short_length(longest))});
        }
    }
    document.blocks.emplace_back(std::move(figures));
}

/// The paper's form: a row a checkpoint and task, a column a length.
void add_score_table(Document& document, const NiahSummary& summary) {
    report::Table table{.caption = "Score in percent (RULER's string_match_all) with 95 % interval",
                        .columns = {"task", "checkpoint"},
                        .is_number = {false, false},
                        .rows = {}};
    for (const std::string& label : length_labels(summary)) {
        table.columns.push_back(label);
        table.is_number.push_back(true);
    }
    for (const std::string& task : summary.tasks) {
        for (const std::string& checkpoint : summary.checkpoints) {
            std::vector<std::string> row{task, checkpoint};
            for (const std::size_t length : summary.lengths) {
                const auto* cell = find_cell(summary, checkpoint, task, length);
                row.push_back(
                    cell == nullptr ? "" : percent(cell->score) + " " + percent(cell->interval));
            }
            table.rows.push_back(std::move(row));
        }
        std::vector<std::string> tokens{task, "prompt tokens"};
        for (const std::size_t length : summary.lengths) {
            tokens.push_back(describe_tokens(find_token_range(summary, task, length)));
        }
        table.rows.push_back(std::move(tokens));
    }
    document.blocks.emplace_back(std::move(table));
}

HeatMap task_map(const NiahSummary& summary, const std::string& checkpoint) {
    HeatMap map{.caption = checkpoint,
                .row_label = "task",
                .column_label = "length",
                .rows = summary.tasks,
                .columns = length_labels(summary),
                .values = {},
                .low = 0.0,
                .high = 100.0,
                .decimals = 1};
    for (const std::string& task : summary.tasks) {
        map.values.emplace_back();
        for (const std::size_t length : summary.lengths) {
            const auto* cell = find_cell(summary, checkpoint, task, length);
            map.values.back().push_back(cell == nullptr ? std::nullopt
                                                        : std::optional(100.0 * cell->score));
        }
    }
    return map;
}

HeatMap depth_map(const NiahSummary& summary, const std::string& checkpoint) {
    HeatMap map{.caption = checkpoint,
                .row_label = "depth %",
                .column_label = "length",
                .rows = {},
                .columns = length_labels(summary),
                .values = {},
                .low = 0.0,
                .high = 100.0,
                .decimals = 0};
    for (const std::uint32_t depth : summary.depths) {
        map.rows.push_back(format("{}", depth));
        map.values.emplace_back();
        for (const std::size_t length : summary.lengths) {
            const auto cell =
                std::ranges::find_if(summary.depth_cells, [&](const NiahCell& candidate) {
                    return candidate.checkpoint == checkpoint && candidate.depth == depth &&
                           candidate.length == length;
                });
            map.values.back().push_back(cell == summary.depth_cells.end()
                                            ? std::nullopt
                                            : std::optional(100.0 * cell->score));
        }
    }
    return map;
}

/// What changed from one map to another of the same shape.
HeatMap subtract_maps(const HeatMap& from, const HeatMap& to) {
    HeatMap map = from;
    map.caption = format("{} minus {}", to.caption, from.caption);
    map.low = -100.0;
    map.high = 100.0;
    map.scale = HeatMap::Scale::diverging;
    for (std::size_t row = 0; row < map.values.size(); ++row) {
        for (std::size_t column = 0; column < map.values[row].size(); ++column) {
            const auto& after = to.values[row][column];
            auto& value = map.values[row][column];
            value = value && after ? std::optional(*after - *value) : std::nullopt;
        }
    }
    return map;
}

template <class MakeMap>
void add_maps(Document& document,
              const NiahFindings& findings,
              const std::string& heading,
              const MakeMap& make_map) {
    document.blocks.emplace_back(report::Heading{.level = 2, .text = heading});
    report::Gallery gallery;
    for (const std::string& checkpoint : findings.summary.checkpoints) {
        gallery.maps.push_back(make_map(findings.summary, checkpoint));
    }
    document.blocks.emplace_back(std::move(gallery));
    const CheckpointRoles& roles = findings.roles;
    if (roles.pre.empty() || roles.post.empty()) {
        return;
    }
    report::Gallery differences;
    const HeatMap post = make_map(findings.summary, roles.post);
    differences.maps.push_back(subtract_maps(make_map(findings.summary, roles.pre), post));
    for (const std::string& repaired : roles.repaired) {
        differences.maps.push_back(subtract_maps(post, make_map(findings.summary, repaired)));
    }
    document.blocks.emplace_back(std::move(differences));
}

void add_curves(Document& document, const NiahSummary& summary) {
    if (summary.lengths.size() < 2) {
        return;
    }
    document.blocks.emplace_back(report::Heading{.level = 2, .text = "Recall by length"});
    for (const std::string& task : summary.tasks) {
        report::Curves curves{.caption = task,
                              .x_label = "length in tokens",
                              .y_label = "score, %",
                              .series = {},
                              .x_axis = report::Curves::Axis::logarithmic,
                              .low = 0.0,
                              .high = 100.0};
        for (const std::string& checkpoint : summary.checkpoints) {
            report::Curves::Series series{.name = checkpoint, .points = {}};
            for (const std::size_t length : summary.lengths) {
                if (const auto* cell = find_cell(summary, checkpoint, task, length)) {
                    series.points.push_back({.x = static_cast<double>(length),
                                             .y = 100.0 * cell->score,
                                             .low = 100.0 * cell->interval.low,
                                             .high = 100.0 * cell->interval.high});
                }
            }
            curves.series.push_back(std::move(series));
        }
        document.blocks.emplace_back(std::move(curves));
    }
}

void add_comparisons(Document& document, const NiahSummary& summary) {
    if (summary.comparisons.empty()) {
        return;
    }
    document.blocks.emplace_back(
        report::Heading{.level = 2, .text = "Differences on the same samples"});
    report::Table table{
        .caption =
            "Points gained from the first to the second; 95 % bootstrap interval over "
            "samples; McNemar's exact test on samples that one alone gets wholly right",
        .columns =
            {"from", "to", "task", "length", "pairs", "points", "interval", "lost", "won", "p"},
        .is_number = {false, false, false, true, true, true, true, true, true, true},
        .rows = {}};
    for (const NiahComparison& comparison : summary.comparisons) {
        table.rows.push_back({comparison.first,
                              comparison.second,
                              comparison.task,
                              short_length(comparison.length),
                              format("{}", comparison.pairs),
                              format("{:+.1f}", 100.0 * comparison.difference),
                              percent(comparison.interval),
                              format("{}", comparison.only_first),
                              format("{}", comparison.only_second),
                              format("{:.2g}", comparison.p_value)});
    }
    document.blocks.emplace_back(std::move(table));
    if (summary.recoveries.empty()) {
        return;
    }
    report::Table recovered{
        .caption =
            "Recovered share: (repaired - post) / (pre - post), with 95 % bootstrap interval",
        .columns = {"repaired", "task", "length", "samples", "recovered %", "interval"},
        .is_number = {false, false, true, true, true, true},
        .rows = {}};
    for (const NiahRecovery& recovery : summary.recoveries) {
        const auto& [share, interval] = recovery.share;
        recovered.rows.push_back({recovery.repaired,
                                  recovery.task,
                                  short_length(recovery.length),
                                  format("{}", recovery.samples),
                                  share ? percent(*share) : "nothing was lost",
                                  interval ? percent(*interval) : "not defined"});
    }
    document.blocks.emplace_back(std::move(recovered));
}

void add_details(Document& document, const NiahSummary& summary) {
    document.blocks.emplace_back(
        report::Heading{.level = 2, .text = "What wrong answers look like"});
    report::Table table{
        .caption =
            "Percent of answers. first exact: the first values named are those asked for; "
            "wrong needle: names a value that was not asked for; cut: still going on at the "
            "end of its budget; ln p: of the true values, mean",
        .columns = {"checkpoint",
                    "task",
                    "length",
                    "n",
                    "score",
                    "first exact",
                    "wrong needle",
                    "empty",
                    "degenerate",
                    "cut",
                    "still thinking",
                    "ln p"},
        .is_number = {false, false, true, true, true, true, true, true, true, true, true, true},
        .rows = {}};
    for (const NiahCell& cell : summary.cells) {
        table.rows.push_back({cell.checkpoint,
                              cell.task,
                              short_length(cell.length),
                              format("{}", cell.count),
                              percent(cell.score),
                              percent(cell.first_exact),
                              percent(cell.wrong_needle),
                              percent(cell.empty),
                              percent(cell.degenerate),
                              percent(cell.truncated),
                              percent(cell.unfinished),
                              cell.logprob ? format("{:.2f}", *cell.logprob) : ""});
    }
    document.blocks.emplace_back(std::move(table));
}

}  // namespace

Document to_document(const NiahFindings& findings) {
    const NiahSummary& summary = findings.summary;
    const Json* style = findings.run.settings.find("comparable");
    Document document{
        .title = "Recall: needles in haystacks",
        .subtitle = format("{} answers of {} checkpoint{}. {}",
                           findings.results.size(),
                           summary.checkpoints.size(),
                           summary.checkpoints.size() == 1 ? "" : "s",
                           style != nullptr && style->is_string() ? style->as_string("comparable")
                                                                  : std::string()),
        .blocks = {}};
    add_key_figures(document, findings);
    add_score_table(document, summary);
    add_unknown_tokens(document, find_unknown_tokens(findings.run));
    add_maps(document, findings, "Task and length", task_map);
    if (!summary.depths.empty()) {
        add_maps(document, findings, "Depth and length", depth_map);
    }
    add_curves(document, summary);
    add_comparisons(document, summary);
    add_details(document, summary);
    add_samples(document, findings);
    add_repeats(document, compare_repeats(findings.run));
    add_coverage(document, find_coverage(findings));
    document.blocks.emplace_back(report::Heading{.level = 2, .text = "Settings"});
    document.blocks.emplace_back(settings_table(findings.run));
    return document;
}

}  // namespace anamnesis::eval
