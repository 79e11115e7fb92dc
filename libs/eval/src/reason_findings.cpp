// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/eval/reason_findings.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/eval/checkpoint_roles.hpp"
#include "anamnesis/eval/reason.hpp"
#include "anamnesis/eval/reason_summary.hpp"
#include "anamnesis/eval/run_folder.hpp"
#include "anamnesis/eval/statistics.hpp"
#include "anamnesis/report/document.hpp"
#include "anamnesis/report/text_table.hpp"

#include "coverage.hpp"
#include "percent.hpp"
#include "repeats.hpp"
#include "settings_table.hpp"
#include "unknown_tokens.hpp"

namespace anamnesis::eval {
namespace {

using report::Document;

std::string metric_name(const char* name, std::size_t k) {
    return format("{}@{}", name, k);
}

Json number_or_null(double value) {
    return std::isfinite(value) ? Json(value) : Json();
}

Json interval_json(const Interval& interval) {
    return Json::Array{number_or_null(interval.low), number_or_null(interval.high)};
}

/// A difference of shares lies between -1 and 1, whatever few problems say.
Interval within_points(const Interval& interval) {
    return {std::max(-1.0, interval.low), std::min(1.0, interval.high)};
}

Json cell_json(const ReasonCell& cell) {
    Json pass = Json::object();
    for (const auto& [k, value] : cell.pass) {
        pass.set(format("{}", k), value);
    }
    return Json::Object{{"checkpoint", cell.checkpoint},
                        {"problems", std::uint64_t{cell.problems}},
                        {"samples", std::uint64_t{cell.samples}},
                        {"k", std::uint64_t{cell.fewest}},
                        {"average", cell.average.mean},
                        {"standard_error", number_or_null(cell.average.standard_error)},
                        {"interval", interval_json(cell.interval)},
                        {"pass", std::move(pass)},
                        {"majority", cell.majority},
                        {"truncated", cell.truncated},
                        {"unfinished", cell.unfinished},
                        {"without_answer", cell.without_answer},
                        {"undecided", cell.undecided},
                        {"mean_tokens", cell.mean_tokens}};
}

Json comparison_json(const ReasonComparison& comparison) {
    return Json::Object{{"first", comparison.first},
                        {"second", comparison.second},
                        {"problems", std::uint64_t{comparison.problems}},
                        {"difference", comparison.difference.difference.mean},
                        {"interval", interval_json(comparison.bootstrap)},
                        {"student_interval",
                         interval_json(within_points(comparison.difference.difference.student))},
                        {"p_value", number_or_null(comparison.difference.p_value)}};
}

void add_scores(Document& document, const ReasonSummary& summary) {
    report::KeyFigures figures;
    report::Table table{
        .caption =
            "Percent. avg@k: mean over problems of right samples, 95 % interval by Wilson, "
            "with several samples clustered by problem; pass@k unbiased; maj@k: majority of equal "
            "answers",
        .columns = {"checkpoint", "problems", "samples", "avg@k", "interval", "pass@k", "maj@k"},
        .is_number = {false, true, true, true, true, true, true},
        .rows = {}};
    for (const ReasonCell& cell : summary.cells) {
        figures.figures.push_back(
            {.value = percent(cell.average.mean) + " %",
             .label = format("{}, {}", cell.checkpoint, metric_name("avg", cell.fewest))});
        std::string pass;
        for (const auto& [k, value] : cell.pass) {
            pass += format("{}{} at {}", pass.empty() ? "" : ", ", percent(value), k);
        }
        table.rows.push_back({cell.checkpoint,
                              format("{}", cell.problems),
                              format("{}", cell.samples),
                              percent(cell.average.mean),
                              percent(cell.interval),
                              pass,
                              percent(cell.majority)});
    }
    document.blocks.emplace_back(std::move(figures));
    document.blocks.emplace_back(std::move(table));
}

void add_answers(Document& document, const ReasonSummary& summary) {
    document.blocks.emplace_back(report::Heading{.level = 2, .text = "What the answers are"});
    report::Table table{
        .caption =
            "Percent of answers. cut: still going on at the end of their budget, so that "
            "worse reasoning is told from running out of tokens",
        .columns = {"checkpoint", "cut", "still thinking", "no answer", "undecided", "mean tokens"},
        .is_number = {false, true, true, true, true, true},
        .rows = {}};
    for (const ReasonCell& cell : summary.cells) {
        table.rows.push_back({cell.checkpoint,
                              percent(cell.truncated),
                              percent(cell.unfinished),
                              percent(cell.without_answer),
                              percent(cell.undecided),
                              format("{:.0f}", cell.mean_tokens)});
    }
    document.blocks.emplace_back(std::move(table));
}

void add_comparisons(Document& document, const ReasonSummary& summary) {
    if (summary.comparisons.empty()) {
        return;
    }
    document.blocks.emplace_back(
        report::Heading{.level = 2, .text = "Differences on the same problems"});
    report::Table table{
        .caption =
            "Points gained from the first to the second; 95 % bootstrap interval over "
            "problems; Student's paired t test over problems",
        .columns = {"from", "to", "problems", "points", "interval", "p"},
        .is_number = {false, false, true, true, true, true},
        .rows = {}};
    for (const ReasonComparison& comparison : summary.comparisons) {
        table.rows.push_back({comparison.first,
                              comparison.second,
                              format("{}", comparison.problems),
                              format("{:+.1f}", 100.0 * comparison.difference.difference.mean),
                              percent(comparison.bootstrap),
                              format("{:.2g}", comparison.difference.p_value)});
    }
    document.blocks.emplace_back(std::move(table));
}

report::Details make_details(const ReasonResult& result) {
    constexpr std::size_t longest = 1500;
    const std::string& text = result.response;
    return {.summary = format("{} #{} by {}: {}",
                              result.problem,
                              result.sample,
                              result.checkpoint,
                              grading::to_string(result.reason)),
            .texts = {result.question,
                      format("right: {}; read: {}", result.gold, result.extracted),
                      text.size() > longest ? "… " + text.substr(text.size() - longest) : text}};
}

/// Wrong answers of a checkpoint that no other can be held against.
void add_wrong_answers(Document& document, const ReasonFindings& findings) {
    constexpr std::size_t most = 15;
    std::vector<report::Details> shown;
    for (const ReasonResult& result : findings.results) {
        const bool is_shown_above = result.reason == grading::Reason::undecided;
        if (!result.is_correct && !is_shown_above && shown.size() < most) {
            shown.push_back(make_details(result));
        }
    }
    if (shown.empty()) {
        return;
    }
    document.blocks.emplace_back(
        report::Heading{.level = 2, .text = format("Wrong answers, the first {}", shown.size())});
    for (report::Details& details : shown) {
        document.blocks.emplace_back(std::move(details));
    }
}

/// Answers that the grader did not understand, and those that one checkpoint alone got right.
void add_samples(Document& document, const ReasonFindings& findings) {
    constexpr std::size_t most = 15;
    std::vector<report::Details> undecided;
    for (const ReasonResult& result : findings.results) {
        if (result.reason == grading::Reason::undecided && undecided.size() < most) {
            undecided.push_back(make_details(result));
        }
    }
    if (!undecided.empty()) {
        document.blocks.emplace_back(report::Heading{
            .level = 2, .text = "Answers that were not understood, and so count as wrong"});
        for (report::Details& details : undecided) {
            document.blocks.emplace_back(std::move(details));
        }
    }
    if (findings.roles.pairs().empty()) {
        add_wrong_answers(document, findings);
    }
    for (const auto& [first, second] : findings.roles.pairs()) {
        std::unordered_map<std::string, const ReasonResult*> before;
        for (const ReasonResult& result : findings.results) {
            if (result.checkpoint == first) {
                before.emplace(format("{}#{}", result.problem, result.sample), &result);
            }
        }
        std::size_t shown = 0;
        for (const ReasonResult& result : findings.results) {
            const auto other = result.checkpoint == second
                                   ? before.find(format("{}#{}", result.problem, result.sample))
                                   : before.end();
            if (other == before.end() || other->second->is_correct == result.is_correct ||
                shown == most) {
                continue;
            }
            if (shown++ == 0) {
                document.blocks.emplace_back(report::Heading{
                    .level = 3, .text = format("{} to {}: samples that flipped", first, second)});
            }
            document.blocks.emplace_back(make_details(*other->second));
            document.blocks.emplace_back(make_details(result));
        }
    }
}

}  // namespace

ReasonFindings make_reason_findings(RunRecord run,
                                    const std::string& pre,
                                    const std::string& post) {
    ReasonFindings findings;
    findings.run = std::move(run);
    std::vector<std::string> names;
    for (const Json& line : findings.run.results) {
        findings.results.push_back(read_reason_result(line));
        const std::string& name = findings.results.back().checkpoint;
        if (std::ranges::find(names, name) == names.end()) {
            names.push_back(name);
        }
    }
    findings.roles = assign_roles(names, pre, post);
    findings.summary = summarise(findings.results, findings.roles);
    return findings;
}

Json to_json(const ReasonFindings& findings) {
    Json cells = Json::array();
    for (const ReasonCell& cell : findings.summary.cells) {
        cells.push_back(cell_json(cell));
    }
    Json comparisons = Json::array();
    for (const ReasonComparison& comparison : findings.summary.comparisons) {
        comparisons.push_back(comparison_json(comparison));
    }
    Json json = Json::Object{{"settings", findings.run.settings},
                             {"checkpoints", findings.run.checkpoints},
                             {"cells", std::move(cells)},
                             {"comparisons", std::move(comparisons)}};
    if (const Coverage coverage = find_coverage(findings); !coverage.gaps.empty()) {
        json.set("gaps", gaps_json(coverage));
    }
    if (const auto repeats = compare_repeats(findings.run); !repeats.empty()) {
        json.set("repeats", repeats_json(repeats));
    }
    if (const auto unknown = find_unknown_tokens(findings.run); !unknown.empty()) {
        json.set("findings", unknown_tokens_json(unknown));
    }
    return json;
}

std::string to_csv(const ReasonFindings& findings) {
    std::string csv =
        "checkpoint,problems,samples,average,low,high,majority,truncated,unfinished,"
        "without_answer,undecided,mean_tokens\n";
    for (const ReasonCell& cell : findings.summary.cells) {
        csv += format("{},{},{},{:.6g},{:.6g},{:.6g},{:.6g},{:.6g},{:.6g},{:.6g},{:.6g},{:.6g}\n",
                      csv_field(cell.checkpoint),
                      cell.problems,
                      cell.samples,
                      cell.average.mean,
                      cell.interval.low,
                      cell.interval.high,
                      cell.majority,
                      cell.truncated,
                      cell.unfinished,
                      cell.without_answer,
                      cell.undecided,
                      cell.mean_tokens);
    }
    return csv;
}

Document to_document(const ReasonFindings& findings) {
    const Json& task = findings.run.settings.at("task");
    Document document{.title = "Reasoning: " + task.as_string("'task'"),
                      .subtitle = format("{} answers of {} checkpoint{}.",
                                         findings.results.size(),
                                         findings.summary.cells.size(),
                                         findings.summary.cells.size() == 1 ? "" : "s"),
                      .blocks = {}};
    add_scores(document, findings.summary);
    add_unknown_tokens(document, find_unknown_tokens(findings.run));
    add_comparisons(document, findings.summary);
    add_answers(document, findings.summary);
    add_samples(document, findings);
    add_repeats(document, compare_repeats(findings.run));
    add_coverage(document, find_coverage(findings));
    document.blocks.emplace_back(report::Heading{.level = 2, .text = "Settings"});
    document.blocks.emplace_back(settings_table(findings.run));
    return document;
}

std::string to_text(const ReasonFindings& findings) {
    std::vector<std::vector<std::string>> rows;
    for (const ReasonCell& cell : findings.summary.cells) {
        rows.push_back({cell.checkpoint,
                        format("{}", cell.problems),
                        metric_name("avg", cell.fewest),
                        percent(cell.average.mean),
                        percent(cell.interval),
                        percent(cell.pass.back().second),
                        percent(cell.majority),
                        percent(cell.truncated)});
    }
    return report::text_table(
               {"checkpoint", ">problems", "metric", ">%", "interval", ">pass@k", ">maj@k", ">cut"},
               rows) +
           coverage_text(find_coverage(findings)) + repeats_text(compare_repeats(findings.run)) +
           unknown_tokens_text(find_unknown_tokens(findings.run));
}

}  // namespace anamnesis::eval
