// SPDX-License-Identifier: Apache-2.0
#include "trade_off.hpp"

#include <algorithm>
#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "anamnesis/base/text.hpp"
#include "anamnesis/eval/lengths.hpp"
#include "anamnesis/eval/niah.hpp"
#include "anamnesis/eval/niah_findings.hpp"
#include "anamnesis/eval/reason.hpp"
#include "anamnesis/eval/reason_findings.hpp"
#include "anamnesis/eval/statistics.hpp"
#include "anamnesis/report/document.hpp"

#include "percent.hpp"

namespace anamnesis::eval {
namespace {

/// Means by unit (a sample, a problem) of one checkpoint.
using Scores = std::map<std::string, double>;

Scores find_recall(const NiahFindings& findings, const std::string& checkpoint) {
    Scores scores;
    for (const NiahResult& result : findings.results) {
        if (result.checkpoint == checkpoint) {
            scores[result.id] = result.verdict.score;
        }
    }
    return scores;
}

Scores find_reasoning(const ReasonFindings& findings, const std::string& checkpoint) {
    std::map<std::string, std::pair<double, double>> sums;
    for (const ReasonResult& result : findings.results) {
        if (result.checkpoint == checkpoint) {
            auto& [right, count] = sums[result.problem];
            right += result.is_correct ? 1.0 : 0.0;
            count += 1.0;
        }
    }
    Scores scores;
    for (const auto& [problem, sum] : sums) {
        scores[problem] = sum.first / sum.second;
    }
    return scores;
}

struct Gain {
    double mean = 0.0;
    Interval interval{};
};

std::optional<Gain> find_gain(const Scores& from, const Scores& to) {
    std::vector<double> differences;
    Gain gain;
    for (const auto& [unit, score] : from) {
        if (const auto other = to.find(unit); other != to.end()) {
            differences.push_back(other->second - score);
            gain.mean += differences.back();
        }
    }
    if (differences.empty()) {
        return std::nullopt;
    }
    gain.mean /= static_cast<double>(differences.size());
    gain.interval = bootstrap_mean(differences);
    return gain;
}

/// A row a checkpoint: every needle task at every length, then reasoning.
report::Table paper_table(const NiahFindings& recall, const ReasonFindings& reasoning) {
    report::Table table{.caption = "Percent, in the paper's form",
                        .columns = {"checkpoint"},
                        .is_number = {false},
                        .rows = {}};
    for (const std::string& task : recall.summary.tasks) {
        for (const std::size_t length : recall.summary.lengths) {
            table.columns.push_back(format("{}@{}", task, short_length(length)));
            table.is_number.push_back(true);
        }
    }
    table.columns.push_back(reasoning.run.settings.at("task").as_string("'task'"));
    table.is_number.push_back(true);
    for (const ReasonCell& cell : reasoning.summary.cells) {
        std::vector<std::string> row{cell.checkpoint};
        for (const std::string& task : recall.summary.tasks) {
            for (const std::size_t length : recall.summary.lengths) {
                const auto found =
                    std::ranges::find_if(recall.summary.cells, [&](const NiahCell& candidate) {
                        return candidate.checkpoint == cell.checkpoint && candidate.task == task &&
                               candidate.length == length;
                    });
                row.push_back(found == recall.summary.cells.end() ? "" : percent(found->score));
            }
        }
        row.push_back(percent(cell.average.mean));
        table.rows.push_back(std::move(row));
    }
    return table;
}

}  // namespace

void add_trade_off(report::Document& document,
                   const NiahFindings& recall,
                   const ReasonFindings& reasoning) {
    document.blocks.emplace_back(report::Heading{.level = 2, .text = "Recall against reasoning"});
    document.blocks.emplace_back(paper_table(recall, reasoning));
    const std::string& post = recall.roles.post;
    if (post.empty()) {
        return;
    }
    report::Scatter scatter{.caption = format("Points gained over {}, with 95 % intervals: right "
                                              "is better reasoning, up is better recall",
                                              post),
                            .x_label = "reasoning, points",
                            .y_label = "recall, points",
                            .points = {{.name = post}}};
    const Scores recall_before = find_recall(recall, post);
    const Scores reasoning_before = find_reasoning(reasoning, post);
    for (const std::string& checkpoint : recall.summary.checkpoints) {
        const auto up = find_gain(recall_before, find_recall(recall, checkpoint));
        const auto across = find_gain(reasoning_before, find_reasoning(reasoning, checkpoint));
        if (checkpoint != post && up && across) {
            scatter.points.push_back({.name = checkpoint,
                                      .x = 100.0 * across->mean,
                                      .y = 100.0 * up->mean,
                                      .x_low = 100.0 * across->interval.low,
                                      .x_high = 100.0 * across->interval.high,
                                      .y_low = 100.0 * up->interval.low,
                                      .y_high = 100.0 * up->interval.high});
        }
    }
    document.blocks.emplace_back(std::move(scatter));
}

}  // namespace anamnesis::eval
