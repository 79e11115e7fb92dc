// SPDX-License-Identifier: Apache-2.0
#include <optional>
#include <string>
#include <utility>

#include <CLI/CLI.hpp>

#include "anamnesis/base/json.hpp"
#include "anamnesis/base/watch.hpp"
#include "anamnesis/base/words.hpp"
#include "anamnesis/eval/grade_job.hpp"
#include "anamnesis/eval/grading/task.hpp"

#include "option_group.hpp"
#include "options/common.hpp"
#include "terminal.hpp"
#include "verb.hpp"

namespace anamnesis::app {
namespace {

struct GradeOptions {
    CommonOptions common{};
    std::string in{};
    std::string out{};
    std::string data{};
    std::optional<eval::ReasoningTask> task{};
};

void declare(CLI::App& app, GradeOptions& options) {
    OptionGroup required(app, "Required");
    required
        .option("--in",
                options.in,
                "JSON lines with id, task, gold and response, or lm-eval's samples_*.jsonl.")
        ->required();
    required
        .option("--out", options.out, "JSON lines with id, correct, extracted, reason and lm_eval.")
        ->required();
    OptionGroup lines(app, "Lines that lack a field");
    lines.option("--data",
                 options.data,
                 "The data set's own JSON lines, for lines without gold; found by id.");
    lines.word("--task",
               options.task,
               eval::reasoning_task_words,
               "The task of lines, and of --data, that name none: gsm8k, math500, aime24, amc23 or "
               "custom.");
}

int run(const GradeOptions& options, Terminal& terminal, const Watch& watch) {
    const eval::GradeJob job{.in = options.in,
                             .out = options.out,
                             .data = options.data,
                             .task = options.task,
                             .threads = options.common.count_threads()};
    const eval::GradeSummary summary = eval::grade_answers(job, watch);
    terminal.show(options.common.json, to_json(job, summary), to_text(summary));
    return 0;
}

}  // namespace

Action add_grade(CLI::App& app) {
    return make_action<GradeOptions>(app, declare, run);
}

}  // namespace anamnesis::app
