// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/eval/niah_findings.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/eval/lengths.hpp"
#include "anamnesis/eval/niah.hpp"
#include "anamnesis/eval/niah_summary.hpp"
#include "anamnesis/eval/run_folder.hpp"
#include "anamnesis/report/document.hpp"
#include "anamnesis/report/text_table.hpp"

#include "coverage.hpp"
#include "percent.hpp"
#include "repeats.hpp"
#include "unknown_tokens.hpp"

namespace anamnesis::eval {
namespace {

Json interval_json(const Interval& interval) {
    return Json::Array{interval.low, interval.high};
}

Json cell_json(const NiahCell& cell) {
    Json json = Json::Object{{"checkpoint", cell.checkpoint}};
    if (cell.depth) {
        json.set("depth", std::uint64_t{*cell.depth});
    } else {
        json.set("task", cell.task);
    }
    json.set("length", std::uint64_t{cell.length});
    json.set("count", std::uint64_t{cell.count});
    json.set("prompt_tokens",
             Json::Array{std::uint64_t{cell.fewest_tokens}, std::uint64_t{cell.most_tokens}});
    json.set("score", cell.score);
    json.set("interval", interval_json(cell.interval));
    json.set("first_exact", cell.first_exact);
    json.set("wrong_needle", cell.wrong_needle);
    json.set("empty", cell.empty);
    json.set("degenerate", cell.degenerate);
    json.set("truncated", cell.truncated);
    json.set("unfinished", cell.unfinished);
    json.set("logprob", cell.logprob ? Json(*cell.logprob) : Json());
    return json;
}

Json comparison_json(const NiahComparison& comparison) {
    return Json::Object{{"first", comparison.first},
                        {"second", comparison.second},
                        {"task", comparison.task},
                        {"length", std::uint64_t{comparison.length}},
                        {"pairs", std::uint64_t{comparison.pairs}},
                        {"difference", comparison.difference},
                        {"interval", interval_json(comparison.interval)},
                        {"only_first", std::uint64_t{comparison.only_first}},
                        {"only_second", std::uint64_t{comparison.only_second}},
                        {"mcnemar_p", comparison.p_value}};
}

Json recovery_json(const NiahRecovery& recovery) {
    const auto& [share, interval] = recovery.share;
    return Json::Object{{"repaired", recovery.repaired},
                        {"task", recovery.task},
                        {"length", std::uint64_t{recovery.length}},
                        {"samples", std::uint64_t{recovery.samples}},
                        {"recovered", share ? Json(*share) : Json()},
                        {"interval", interval ? interval_json(*interval) : Json()}};
}

template <class Value, class ToJson>
Json list_json(const std::vector<Value>& values, const ToJson& make_entry) {
    Json list = Json::array();
    for (const Value& value : values) {
        list.push_back(make_entry(value));
    }
    return list;
}

}  // namespace

NiahFindings make_niah_findings(RunRecord run, const std::string& pre, const std::string& post) {
    NiahFindings findings;
    findings.run = std::move(run);
    for (const Json& line : findings.run.results) {
        findings.results.push_back(read_niah_result(line));
    }
    findings.roles = assign_roles(list_checkpoints(findings.results), pre, post);
    const Json* depths = findings.run.settings.find("depths");
    const bool is_sweep = depths != nullptr && depths->as_unsigned("'depths'") > 0;
    findings.summary =
        summarise(findings.results, findings.roles, is_sweep ? Depths::even : Depths::random);
    return findings;
}

Json to_json(const NiahFindings& findings) {
    const NiahSummary& summary = findings.summary;
    Json json = Json::Object{{"settings", findings.run.settings},
                             {"checkpoints", findings.run.checkpoints},
                             {"cells", list_json(summary.cells, cell_json)},
                             {"depth_cells", list_json(summary.depth_cells, cell_json)},
                             {"comparisons", list_json(summary.comparisons, comparison_json)},
                             {"recoveries", list_json(summary.recoveries, recovery_json)}};
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

std::string to_csv(const NiahFindings& findings) {
    std::string csv =
        "checkpoint,task,length,count,score,low,high,first_exact,wrong_needle,empty,degenerate,"
        "truncated,unfinished,logprob\n";
    for (const NiahCell& cell : findings.summary.cells) {
        csv += format(
            "{},{},{},{},{:.6g},{:.6g},{:.6g},{:.6g},{:.6g},{:.6g},{:.6g},{:.6g},{:.6g},{}\n",
            csv_field(cell.checkpoint),
            csv_field(cell.task),
            cell.length,
            cell.count,
            cell.score,
            cell.interval.low,
            cell.interval.high,
            cell.first_exact,
            cell.wrong_needle,
            cell.empty,
            cell.degenerate,
            cell.truncated,
            cell.unfinished,
            cell.logprob ? format("{:.6g}", *cell.logprob) : "");
    }
    return csv;
}

std::string to_text(const NiahFindings& findings) {
    std::vector<std::string> columns{"checkpoint", "task"};
    for (const std::size_t length : findings.summary.lengths) {
        columns.push_back(">" + short_length(length));
    }
    std::vector<std::vector<std::string>> rows;
    for (const std::string& checkpoint : findings.summary.checkpoints) {
        for (const std::string& task : findings.summary.tasks) {
            std::vector<std::string> row{checkpoint, task};
            for (const std::size_t length : findings.summary.lengths) {
                const auto cell =
                    std::ranges::find_if(findings.summary.cells, [&](const NiahCell& candidate) {
                        return candidate.checkpoint == checkpoint && candidate.task == task &&
                               candidate.length == length;
                    });
                row.push_back(cell == findings.summary.cells.end()
                                  ? "-"
                                  : format("{:.1f} [{:.0f}, {:.0f}]",
                                           100.0 * cell->score,
                                           100.0 * cell->interval.low,
                                           100.0 * cell->interval.high));
            }
            rows.push_back(std::move(row));
        }
    }
    for (const std::string& task : findings.summary.tasks) {
        std::vector<std::string> row{"prompt tokens", task};
        for (const std::size_t length : findings.summary.lengths) {
            row.push_back(describe_tokens(find_token_range(findings.summary, task, length)));
        }
        rows.push_back(std::move(row));
    }
    return report::text_table(columns, rows) + coverage_text(find_coverage(findings)) +
           repeats_text(compare_repeats(findings.run)) +
           unknown_tokens_text(find_unknown_tokens(findings.run));
}

}  // namespace anamnesis::eval
