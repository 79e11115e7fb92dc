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
#include "anamnesis/eval/run_folder.hpp"
#include "anamnesis/report/document.hpp"

namespace anamnesis::eval {
namespace {

std::string name_place(const std::string& task, std::size_t length) {
    return format("{} at {}", task, short_length(length));
}

bool holds(const std::vector<std::string>& list, const std::string& text) {
    return std::ranges::find(list, text) != list.end();
}

/// What two plans have in common is told once.
void add_once(std::vector<std::string>& list, const std::string& text) {
    if (!holds(list, text)) {
        list.push_back(text);
    }
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
        const std::string name(task.name);
        if (!holds(asked, name)) {
            others.push_back(name);
        }
    }
    return others.empty()
               ? std::string()
               : "Of RULER's needle tasks these were not asked: " + join(others, ", ") + ".";
}

/// The questions of one folder's plan that the checkpoints of that folder have not answered.
void add_gaps(Coverage& coverage, const NiahSummary& summary, const RunPlan& plan) {
    const std::vector<std::string> impossible = read_left_out(plan.settings, "what");
    const std::uint64_t planned = read_count(plan.settings, "samples") *
                                  std::max<std::uint64_t>(1, read_count(plan.settings, "depths"));
    for (const std::string& checkpoint : summary.checkpoints) {
        if (!holds(plan.checkpoints, checkpoint)) {
            continue;
        }
        for (const Json& task : plan.settings.at("tasks").as_array("'tasks'")) {
            for (const Json& stated : plan.settings.at("lengths").as_array("'lengths'")) {
                const std::string& name = task.as_string("a task");
                const std::size_t length = stated.as_unsigned("a length");
                const std::string what = name_place(name, length);
                const std::size_t answered = count_answers(summary, checkpoint, name, length);
                if (!holds(impossible, what) && answered < planned) {
                    coverage.gaps.push_back({.checkpoint = checkpoint,
                                             .what = what,
                                             .answered = answered,
                                             .planned = planned});
                }
            }
        }
    }
}

}  // namespace

Coverage find_coverage(const NiahFindings& findings) {
    Coverage coverage;
    std::vector<std::string> asked;
    bool is_planned = true;
    for (const RunPlan& plan : findings.run.plans) {
        if (plan.settings.find("prompts") != nullptr || plan.settings.find("tasks") == nullptr) {
            is_planned = false;
            continue;
        }
        add_gaps(coverage, findings.summary, plan);
        for (const std::string& reason : read_left_out(plan.settings, "reason")) {
            add_once(coverage.left_out, reason);
        }
        for (const Json& task : plan.settings.at("tasks").as_array("'tasks'")) {
            add_once(asked, task.as_string("a task"));
        }
    }
    if (is_planned) {
        coverage.beyond = name_other_tasks(asked);
    }
    return coverage;
}

Coverage find_coverage(const ReasonFindings& findings) {
    Coverage coverage;
    for (const RunPlan& plan : findings.run.plans) {
        const std::uint64_t planned =
            read_count(plan.settings, "problems") * read_count(plan.settings, "k");
        for (const ReasonCell& cell : findings.summary.cells) {
            if (holds(plan.checkpoints, cell.checkpoint) && cell.samples < planned) {
                coverage.gaps.push_back({.checkpoint = cell.checkpoint,
                                         .what = plan.settings.at("task").as_string("'task'"),
                                         .answered = cell.samples,
                                         .planned = planned});
            }
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
