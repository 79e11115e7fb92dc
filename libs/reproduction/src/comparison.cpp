// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/reproduction/comparison.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/eval/statistics.hpp"
#include "anamnesis/report/document.hpp"
#include "anamnesis/reproduction/measurement.hpp"
#include "anamnesis/train/synthetic/exactness.hpp"

namespace anamnesis::reproduction {
namespace {

using report::Document;
using train::synthetic::Exactness;

Json to_json(const Exactness& exactness) {
    return Json::Object{{"right", exactness.right()},
                        {"samples", std::uint64_t{exactness.outcomes.size()}}};
}

eval::Interval percent_interval(const Exactness& exactness) {
    const eval::Interval share =
        eval::wilson_interval(exactness.right(), exactness.outcomes.size());
    return {.low = 100.0 * share.low, .high = 100.0 * share.high};
}

std::string to_text(const Exactness& exactness) {
    const eval::Interval interval = percent_interval(exactness);
    return format("{:.1f} [{:.0f}, {:.0f}]", exactness.percent(), interval.low, interval.high);
}

/// One score a sample, all needles of a length together.
std::vector<double> scores_at(const Measurement& measurement, std::size_t length) {
    std::vector<double> scores;
    for (const auto& lengths : measurement.recall) {
        for (const bool is_right : lengths.at(length).outcomes) {
            scores.push_back(is_right ? 1.0 : 0.0);
        }
    }
    return scores;
}

report::Curves make_curves(const std::vector<NamedMeasurement>& checkpoints, std::size_t needle) {
    report::Curves curves{
        .caption = format("{}: recall with its 95 % interval (Wilson)", needles.at(needle).name),
        .x_label = "tokens",
        .y_label = "recall %",
        .series = {},
        .x_axis = report::Curves::Axis::logarithmic,
        .low = 0.0,
        .high = 100.0};
    for (const auto& [name, measurement] : checkpoints) {
        report::Curves::Series series{.name = name, .points = {}};
        for (std::size_t i = 0; i < measurement.lengths.size(); ++i) {
            const Exactness& exactness = measurement.recall.at(needle).at(i);
            const eval::Interval interval = percent_interval(exactness);
            series.points.push_back({.x = static_cast<double>(measurement.lengths[i]),
                                     .y = exactness.percent(),
                                     .low = interval.low,
                                     .high = interval.high});
        }
        curves.series.push_back(std::move(series));
    }
    return curves;
}

report::Table make_figures_table(const std::vector<NamedMeasurement>& checkpoints) {
    report::Table table{.caption = "Percent, with 95 % intervals (Wilson)",
                        .columns = {"checkpoint", "needle"},
                        .is_number = {false, false},
                        .rows = {}};
    for (const std::size_t length : checkpoints.front().measurement.lengths) {
        table.columns.push_back(format("{} tokens", length));
        table.is_number.push_back(true);
    }
    for (const auto& [name, measurement] : checkpoints) {
        for (std::size_t needle = 0; needle < needles.size(); ++needle) {
            std::vector<std::string> row{needle == 0 ? name : "",
                                         std::string(needles.at(needle).name)};
            for (const Exactness& exactness : measurement.recall.at(needle)) {
                row.push_back(to_text(exactness));
            }
            table.rows.push_back(std::move(row));
        }
        std::vector<std::string> row{"", "reasoning", to_text(measurement.reasoning)};
        row.resize(table.columns.size());
        table.rows.push_back(std::move(row));
    }
    return table;
}

report::Table make_shares_table(const std::vector<NamedMeasurement>& checkpoints) {
    report::Table table{
        .caption =
            "How much of what post lost comes back, over all needles; 95 % bootstrap "
            "interval over samples",
        .columns = {"checkpoint", "tokens", "pre", "post", "repaired", "comes back %", "interval"},
        .is_number = {false, true, true, true, true, true, true},
        .rows = {}};
    const Measurement& pre = checkpoints[0].measurement;
    const Measurement& post = checkpoints[1].measurement;
    for (std::size_t k = 2; k < checkpoints.size(); ++k) {
        const Measurement& repaired = checkpoints[k].measurement;
        for (std::size_t i = 0; i < pre.lengths.size(); ++i) {
            const eval::RecoveredShare share = eval::recovered_share(
                scores_at(pre, i), scores_at(post, i), scores_at(repaired, i));
            table.rows.push_back(
                {checkpoints[k].name,
                 format("{}", pre.lengths[i]),
                 format("{:.1f}", pre.recall_percent(pre.lengths[i])),
                 format("{:.1f}", post.recall_percent(pre.lengths[i])),
                 format("{:.1f}", repaired.recall_percent(pre.lengths[i])),
                 share.share ? format("{:.0f}", 100.0 * *share.share) : "nothing was lost",
                 share.interval ? format("[{:.0f}, {:.0f}]",
                                         100.0 * share.interval->low,
                                         100.0 * share.interval->high)
                                : ""});
        }
    }
    return table;
}

}  // namespace

Json to_json(const std::vector<NamedMeasurement>& checkpoints) {
    Json models = Json::array();
    for (const auto& [name, measurement] : checkpoints) {
        Json model = Json::Object{{"model", name}};
        for (std::size_t needle = 0; needle < needles.size(); ++needle) {
            Json lengths = Json::object();
            for (std::size_t i = 0; i < measurement.lengths.size(); ++i) {
                lengths.set(format("{}", measurement.lengths[i]),
                            to_json(measurement.recall.at(needle).at(i)));
            }
            model.set(needles.at(needle).name, std::move(lengths));
        }
        model.set("cot", to_json(measurement.reasoning));
        models.push_back(std::move(model));
    }
    return models;
}

std::string to_text(const std::vector<NamedMeasurement>& checkpoints) {
    std::string text = format("{:<24} {:>9}", "recall %", "");
    for (const std::size_t length : checkpoints.front().measurement.lengths) {
        text += format(" {:>6}", length);
    }
    text += "\n";
    for (const auto& [name, measurement] : checkpoints) {
        for (std::size_t needle = 0; needle < needles.size(); ++needle) {
            text += format("{:<24} {:>9}", needle == 0 ? name : "", needles.at(needle).name);
            for (const Exactness& exactness : measurement.recall.at(needle)) {
                text += format(" {:>6.1f}", exactness.percent());
            }
            text += "\n";
        }
        text += format("{:<24} {:>9} {:>6.1f}\n", "", "reasoning", measurement.reasoning.percent());
    }
    return text;
}

Document to_document(const std::vector<NamedMeasurement>& checkpoints) {
    Document document{.title = "Recall and reasoning before, after and repaired",
                      .subtitle =
                          "Needles in haystacks and chains of thought of the synthetic "
                          "language; the same samples for every checkpoint.",
                      .blocks = {}};
    report::KeyFigures figures;
    const std::size_t longest = checkpoints.front().measurement.lengths.back();
    for (const auto& [name, measurement] : checkpoints) {
        figures.figures.push_back({.value = format("{:.0f} %", measurement.recall_percent(longest)),
                                   .label = format("recall at {} tokens, {}", longest, name)});
        figures.figures.push_back({.value = format("{:.0f} %", measurement.reasoning.percent()),
                                   .label = format("reasoning, {}", name)});
    }
    document.blocks.emplace_back(std::move(figures));
    for (std::size_t needle = 0; needle < needles.size(); ++needle) {
        document.blocks.emplace_back(make_curves(checkpoints, needle));
    }
    if (checkpoints.size() > 2) {
        document.blocks.emplace_back(make_shares_table(checkpoints));
    }
    document.blocks.emplace_back(make_figures_table(checkpoints));
    return document;
}

}  // namespace anamnesis::reproduction
