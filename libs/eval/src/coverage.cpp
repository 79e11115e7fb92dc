// SPDX-License-Identifier: Apache-2.0
#include "coverage.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/eval/lengths.hpp"
#include "anamnesis/eval/niah_findings.hpp"
#include "anamnesis/eval/niah_summary.hpp"
#include "anamnesis/eval/reason_findings.hpp"
#include "anamnesis/eval/ruler/niah_task.hpp"
#include "anamnesis/report/document.hpp"

namespace anamnesis::eval {
namespace {

std::string name_place(const std::string& task, std::size_t length) {
    return format("{} at {}", task, short_length(length));
}

std::vector<std::string> read_left_out(const Json& settings, const char* field) {
    std::vector<std::string> names;
    if (const Json* left_out = settings.find("left_out")) {
        for (const Json& entry : left_out->as_array("'left_out'")) {
            names.push_back(entry.at(field).as_string(field));
        }
    }
    return names;
}

std::uint64_t read_count(const Json& settings, const char* field) {
    const Json* value = settings.find(field);
    return value == nullptr ? 0 : value->as_unsigned(field);
}

std::size_t count_answers(const NiahSummary& summary,
                          const std::string& checkpoint,
                          const std::string& task,
                          std::size_t length) {
    const auto found = std::ranges::find_if(summary.cells, [&](const NiahCell& cell) {
        return cell.checkpoint == checkpoint && cell.task == task && cell.length == length;
    });
    return found == summary.cells.end() ? 0 : found->count;
}

std::string name_other_tasks(const std::vector<std::string>& asked) {
    std::vector<std::string> others;
    for (const NiahTask& task : niah_tasks()) {
        if (std::ranges::find(asked, task.name) == asked.end()) {
            others.emplace_back(task.name);
        }
    }
    return others.empty()
               ? std::string()
               : "Of RULER's needle tasks these were not asked: " + join(others, ", ") + ".";
}

}  // namespace

Coverage find_coverage(const NiahFindings& findings) {
    const Json& settings = findings.run.settings;
    if (settings.find("prompts") != nullptr || settings.find("tasks") == nullptr) {
        return {};
    }
    Coverage coverage{.left_out = read_left_out(settings, "reason")};
    const std::vector<std::string> impossible = read_left_out(settings, "what");
    const std::uint64_t planned = read_count(settings, "samples") *
                                  std::max<std::uint64_t>(1, read_count(settings, "depths"));
    std::vector<std::string> tasks;
    for (const Json& task : settings.at("tasks").as_array("'tasks'")) {
        tasks.push_back(task.as_string("a task"));
    }
    for (const std::string& checkpoint : findings.summary.checkpoints) {
        for (const std::string& task : tasks) {
            for (const Json& stated : settings.at("lengths").as_array("'lengths'")) {
                const std::size_t length = stated.as_unsigned("a length");
                const std::string what = name_place(task, length);
                const std::size_t answered =
                    count_answers(findings.summary, checkpoint, task, length);
                const bool is_possible = std::ranges::find(impossible, what) == impossible.end();
                if (is_possible && answered < planned) {
                    coverage.gaps.push_back({.checkpoint = checkpoint,
                                             .what = what,
                                             .answered = answered,
                                             .planned = planned});
                }
            }
        }
    }
    coverage.beyond = name_other_tasks(tasks);
    return coverage;
}

Coverage find_coverage(const ReasonFindings& findings) {
    Coverage coverage;
    const Json& settings = findings.run.settings;
    const std::uint64_t planned = read_count(settings, "problems") * read_count(settings, "k");
    for (const ReasonCell& cell : findings.summary.cells) {
        if (cell.samples < planned) {
            coverage.gaps.push_back({.checkpoint = cell.checkpoint,
                                     .what = settings.at("task").as_string("'task'"),
                                     .answered = cell.samples,
                                     .planned = planned});
        }
    }
    return coverage;
}

Json gaps_json(const Coverage& coverage) {
    Json gaps = Json::array();
    for (const Gap& gap : coverage.gaps) {
        gaps.push_back(Json::Object{{"checkpoint", gap.checkpoint},
                                    {"what", gap.what},
                                    {"answered", std::uint64_t{gap.answered}},
                                    {"planned", gap.planned}});
    }
    return gaps;
}

std::string coverage_text(const Coverage& coverage) {
    std::string text;
    for (const std::string& reason : coverage.left_out) {
        text += format("left out: {}\n", reason);
    }
    for (const Gap& gap : coverage.gaps) {
        text += format("not asked of {}: {} of {} questions of {}\n",
                       gap.checkpoint,
                       gap.planned - gap.answered,
                       gap.planned,
                       gap.what);
    }
    return text;
}

void add_coverage(report::Document& document, const Coverage& coverage) {
    if (coverage.gaps.empty() && coverage.left_out.empty() && coverage.beyond.empty()) {
        return;
    }
    document.blocks.emplace_back(report::Heading{.level = 2, .text = "What was not asked"});
    for (const std::string& reason : coverage.left_out) {
        document.blocks.emplace_back(report::Paragraph{format("Left out: {}.", reason)});
    }
    if (!coverage.gaps.empty()) {
        report::Table table{.caption = "Questions of the plan that have no answer",
                            .columns = {"checkpoint", "questions", "answered", "planned"},
                            .is_number = {false, false, true, true},
                            .rows = {}};
        for (const Gap& gap : coverage.gaps) {
            table.rows.push_back(
                {gap.checkpoint, gap.what, format("{}", gap.answered), format("{}", gap.planned)});
        }
        document.blocks.emplace_back(std::move(table));
    }
    if (!coverage.beyond.empty()) {
        document.blocks.emplace_back(report::Paragraph{coverage.beyond});
    }
}

}  // namespace anamnesis::eval
