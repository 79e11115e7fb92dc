// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/reproduction/document.hpp"

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "anamnesis/analysis/decay_fit.hpp"
#include "anamnesis/analysis/gradient_series.hpp"
#include "anamnesis/analysis/locality.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/eval/statistics.hpp"
#include "anamnesis/report/document.hpp"
#include "anamnesis/reproduction/findings.hpp"
#include "anamnesis/reproduction/measurement.hpp"
#include "anamnesis/reproduction/recipe.hpp"

namespace anamnesis::reproduction {
namespace {

using report::Document;

/// "97.0 ± 1.2": mean and deviation over seeds.
std::string to_text(const Estimate& estimate, int decimals = 1) {
    std::string text = format("{:.{}f}", estimate.mean, decimals);
    if (estimate.values.size() > 1) {
        text += format(" ± {:.{}f}", estimate.deviation, decimals);
    }
    return text;
}

std::string describe_interval(const Estimate& estimate) {
    return estimate.interval
               ? format("[{:.1f}, {:.1f}]", estimate.interval->low, estimate.interval->high)
               : std::string("one seed");
}

std::string lengths_text(const Findings& findings) {
    std::vector<std::string> words;
    for (const std::size_t length : findings.long_lengths) {
        words.push_back(format("{}", length));
    }
    return join(words, " and ");
}

std::string seeds_text(const Findings& findings) {
    std::vector<std::string> words;
    for (const std::uint64_t seed : findings.seeds) {
        words.push_back(format("{}", seed));
    }
    return (words.size() == 1 ? "seed " : "seeds ") + join(words, ", ");
}

void add(Document& document, report::Block block) {
    document.blocks.push_back(std::move(block));
}

void add_heading(Document& document, std::string text) {
    add(document, report::Heading{.level = 2, .text = std::move(text)});
}

void add_key_figures(Document& document, const Findings& findings) {
    report::KeyFigures figures;
    for (const char* name : {"pre", "post", "qk", fit_name}) {
        const VariantFigures& variant = find_figures(findings, name);
        figures.figures.push_back({.value = format("{:.0f} %", variant.long_recall.mean),
                                   .label = format("recall, {}", name)});
        figures.figures.push_back({.value = format("{:.0f} %", variant.reasoning.mean),
                                   .label = format("reasoning, {}", name)});
    }
    add(document, std::move(figures));
}

void add_claims(Document& document, const Findings& findings) {
    add_heading(document, "The paper's claims");
    report::Table table{
        .caption =
            "A claim held where the whole 95 % interval over seeds (of a difference: Student's) "
            "lies on its side; 'not settled' where the interval crosses the bound. Up to 5 points "
            "of "
            "difference count as none.",
        .columns = {"claim", "figure", "mean", "interval", "verdict"},
        .is_number = {false, false, true, true, false},
        .rows = {}};
    for (const Claim& claim : findings.claims) {
        const bool is_small = std::abs(claim.estimate.mean) < 1.0;
        table.rows.push_back({claim.text,
                              claim.measure,
                              is_small ? format("{:+.3f}", claim.estimate.mean)
                                       : format("{:+.1f}", claim.estimate.mean),
                              claim.estimate.interval && is_small
                                  ? format("[{:.3f}, {:.3f}]",
                                           claim.estimate.interval->low,
                                           claim.estimate.interval->high)
                                  : describe_interval(claim.estimate),
                              std::string(to_string(claim.verdict))});
    }
    add(document, std::move(table));
}

void add_goals(Document& document, const Findings& findings) {
    add_heading(document, "Goals of this reproduction");
    report::Table table{.caption = format("Means over {}", seeds_text(findings)),
                        .columns = {"goal", "figure", ""},
                        .is_number = {},
                        .rows = {}};
    for (const Goal& goal : findings.goals) {
        table.rows.push_back({goal.text, goal.figure, goal.is_reached ? "reached" : "missed"});
    }
    add(document, std::move(table));
}

std::string recovered_text(const VariantFigures& figures) {
    if (!figures.recovered || !figures.recovered->share) {
        return "";
    }
    std::string text = format("{:.0f}", 100.0 * *figures.recovered->share);
    if (figures.recovered->interval && figures.long_recall.values.size() > 1) {
        text += format(" [{:.0f}, {:.0f}]",
                       100.0 * figures.recovered->interval->low,
                       100.0 * figures.recovered->interval->high);
    }
    return text;
}

report::Table main_table(const Findings& findings) {
    const std::size_t longest = findings.recipe.lengths.size() - 1;
    report::Table table{
        .caption =
            format("Recall at {} tokens and reasoning (whole chains of thought), percent, "
                   "mean ± deviation over {}; share of the loss that comes back at {} tokens",
                   findings.recipe.lengths[longest],
                   seeds_text(findings),
                   lengths_text(findings)),
        .columns = {"checkpoint", "what it is", "S1", "S2", "S3", "reasoning", "comes back %"},
        .is_number = {false, false, true, true, true, true, true},
        .rows = {}};
    for (const VariantFigures& figures : findings.variants) {
        std::vector<std::string> row{figures.variant.name, figures.variant.description};
        for (const auto& needle : figures.recall) {
            row.push_back(to_text(needle[longest]));
        }
        row.push_back(to_text(figures.reasoning));
        row.push_back(recovered_text(figures));
        table.rows.push_back(std::move(row));
    }
    return table;
}

report::Curves::Point make_point(double x, const Estimate& estimate) {
    const eval::Interval interval =
        estimate.interval.value_or(eval::Interval{estimate.mean, estimate.mean});
    return {.x = x, .y = estimate.mean, .low = interval.low, .high = interval.high};
}

void add_curves(Document& document, const Findings& findings) {
    add_heading(document, "Recall by length");
    for (std::size_t needle = 0; needle < needles.size(); ++needle) {
        report::Curves curves{.caption = format("{}: mean over seeds with its 95 % interval",
                                                needles.at(needle).name),
                              .x_label = "tokens",
                              .y_label = "recall %",
                              .series = {},
                              .x_axis = report::Curves::Axis::logarithmic,
                              .low = 0.0,
                              .high = 100.0};
        for (const char* name : {"pre", "post", "qk", "frozen", "instruct"}) {
            report::Curves::Series series{.name = name, .points = {}};
            const auto& recall = find_figures(findings, name).recall.at(needle);
            for (std::size_t i = 0; i < recall.size(); ++i) {
                series.points.push_back(
                    make_point(static_cast<double>(findings.recipe.lengths[i]), recall[i]));
            }
            curves.series.push_back(std::move(series));
        }
        add(document, std::move(curves));
    }
}

void add_trade_off(Document& document, const Findings& findings) {
    report::Scatter scatter{
        .caption = format("Recall at {} tokens against reasoning; crosses are 95 % intervals over "
                          "seeds",
                          lengths_text(findings)),
        .x_label = "reasoning %",
        .y_label = "recall %",
        .points = {}};
    for (const VariantFigures& figures : findings.variants) {
        if (figures.variant.name.starts_with("softmax")) {
            continue;
        }
        const auto x = make_point(0.0, figures.reasoning);
        const auto y = make_point(0.0, figures.long_recall);
        scatter.points.push_back({.name = figures.variant.name,
                                  .x = x.y,
                                  .y = y.y,
                                  .x_low = x.low,
                                  .x_high = x.high,
                                  .y_low = y.low,
                                  .y_high = y.high});
    }
    add(document, std::move(scatter));
}

std::string decay_text(const char* name, const analysis::Curve& curve) {
    if (!curve.fit.is_exponential) {
        return format("{}: no exponential fits ({}).", name, curve.fit.reason);
    }
    std::string text = format("{}: W_grad {:.1f} tokens", name, curve.fit.length);
    if (curve.length_interval) {
        text +=
            format(" [{:.1f}, {:.1f}]", curve.length_interval->low, curve.length_interval->high);
    } else if (!curve.no_interval.empty()) {
        text += format(" (no interval: {})", curve.no_interval);
    }
    return text + ".";
}

void add_gradients(Document& document, const Findings& findings) {
    const GradientFigures& gradients = findings.gradients;
    add_heading(document, "How far gradients reach");
    report::Curves curves{
        .caption =
            "g(distance), the mean gradient of an attention logit of pre's softmax layers, "
            "on texts of equal length; 95 % bootstrap interval over examples",
        .x_label = "distance in tokens",
        .y_label = "g",
        .series = {analysis::make_gradient_series("chains of thought", gradients.cot.curve),
                   analysis::make_gradient_series("retrieval", gradients.retrieval.curve)},
        .x_axis = report::Curves::Axis::logarithmic,
        .y_axis = report::Curves::Axis::logarithmic};
    std::erase_if(curves.series, [](const auto& series) { return series.points.empty(); });
    if (!curves.series.empty()) {
        add(document, std::move(curves));
    }
    add(document,
        report::Paragraph{
            .text = format("{} {} Of the gradient's magnitude, {} % lies {} tokens back and "
                           "further on chains of thought, {} % on retrieval.",
                           decay_text("Chains of thought", gradients.cot.curve),
                           decay_text("Retrieval", gradients.retrieval.curve),
                           to_text(gradients.cot_share),
                           far,
                           to_text(gradients.retrieval_share))});
}

void add_drift(Document& document, const Findings& findings) {
    add_heading(document, "Drift");
    report::Table table{
        .caption =
            "|post - pre| / |pre| by part, mean ± deviation over seeds. q, k, v, o: "
            "softmax layers; mixer: linear layers.",
        .columns = {"part", "hybrid"},
        .is_number = {false, true},
        .rows = {}};
    const bool has_twin = !findings.recipe.twin.is_null();
    if (has_twin) {
        table.columns.emplace_back("softmax twin");
        table.is_number.push_back(true);
    }
    for (const PartDrift& drift : findings.drift) {
        table.rows.push_back({drift.part, to_text(drift.hybrid, 3)});
        if (has_twin) {
            table.rows.back().push_back(std::isnan(drift.twin.mean) ? "" : to_text(drift.twin, 3));
        }
    }
    add(document, std::move(table));
}

/// Every figure of every checkpoint; `cell` gives the text of an estimate.
template <class Cell>
report::Table all_figures(const Findings& findings, std::string caption, const Cell& cell) {
    report::Table table{.caption = std::move(caption),
                        .columns = {"checkpoint", "needle"},
                        .is_number = {false, false},
                        .rows = {}};
    for (const std::size_t length : findings.recipe.lengths) {
        table.columns.push_back(format("{}", length));
        table.is_number.push_back(true);
    }
    table.columns.emplace_back("reasoning");
    table.is_number.push_back(true);
    for (const VariantFigures& figures : findings.variants) {
        for (std::size_t needle = 0; needle < needles.size(); ++needle) {
            std::vector<std::string> row{needle == 0 ? figures.variant.name : "",
                                         std::string(needles.at(needle).name)};
            for (const Estimate& estimate : figures.recall[needle]) {
                row.push_back(cell(estimate));
            }
            row.push_back(needle == 0 ? cell(figures.reasoning) : "");
            table.rows.push_back(std::move(row));
        }
    }
    return table;
}

void add_everything(Document& document, const Findings& findings) {
    add_heading(document, "All figures");
    add(document,
        all_figures(findings,
                    format("Percent, mean ± deviation over {}", seeds_text(findings)),
                    [](const Estimate& estimate) { return to_text(estimate); }));
    for (std::size_t i = 0; i < findings.seeds.size() && findings.seeds.size() > 1; ++i) {
        add(document,
            all_figures(
                findings,
                format("Seed {}, percent", findings.seeds[i]),
                [&](const Estimate& estimate) { return format("{:.0f}", estimate.values[i]); }));
    }
    add(document,
        report::Details{.summary = "Recipe", .texts = {to_json(findings.recipe).dump(2)}});
}

}  // namespace

Document to_document(const Findings& findings) {
    Document document{
        .title = "Attention amnesia, reproduced",
        .subtitle = format("A small hybrid pretrained from nothing, fine-tuned on chains of "
                           "thought, and repaired. Recipe {}, {}; {:.1f} minutes a seed.",
                           findings.recipe.name,
                           seeds_text(findings),
                           findings.seconds.mean / 60.0),
        .blocks = {}};
    add_key_figures(document, findings);
    add(document, main_table(findings));
    add_claims(document, findings);
    add_goals(document, findings);
    add_curves(document, findings);
    add_trade_off(document, findings);
    add_gradients(document, findings);
    add_drift(document, findings);
    add_everything(document, findings);
    return document;
}

std::string to_text(const Findings& findings) {
    std::string text = format("{:<13}", "recall %");
    const std::size_t longest = findings.recipe.lengths.size() - 1;
    for (const NamedNeedle& needle : needles) {
        text += format(" {:>14}", format("{}@{}", needle.name, findings.recipe.lengths[longest]));
    }
    text += format(" {:>14} {:>16}\n", "reasoning", "comes back %");
    for (const VariantFigures& figures : findings.variants) {
        text += format("{:<13}", figures.variant.name);
        for (const auto& needle : figures.recall) {
            text += format(" {:>14}", to_text(needle[longest]));
        }
        text += format(" {:>14} {:>16}\n", to_text(figures.reasoning), recovered_text(figures));
    }
    text += "\n";
    for (const Claim& claim : findings.claims) {
        text += format(
            "{:<13} {} ({:+.3g})\n", to_string(claim.verdict), claim.text, claim.estimate.mean);
    }
    text += "\n";
    for (const Goal& goal : findings.goals) {
        text += format(
            "{:<8} {}: {}\n", goal.is_reached ? "reached" : "missed", goal.text, goal.figure);
    }
    return text;
}

}  // namespace anamnesis::reproduction
