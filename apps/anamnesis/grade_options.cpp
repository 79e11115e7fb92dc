// SPDX-License-Identifier: Apache-2.0
#include <CLI/CLI.hpp>

#include "option_declarations.hpp"
#include "options.hpp"

namespace anamnesis::app {

CLI::App* declare_verb(CLI::App& app, GradeOptions& options) {
    CLI::App* verb = app.add_subcommand("grade", "Grade answers that any engine produced");
    verb->add_option("--in", options.in, "JSON lines with id, task, gold, response")->required();
    verb->add_option(
            "--out", options.out, "JSON lines with id, correct, extracted, reason, lm_eval")
        ->required();
    verb->add_option("--data",
                     options.data,
                     "The data set's own JSON lines, for lines without gold; found by id");
    verb->add_option("--task", options.task, "The task of lines (and of --data) that name none")
        ->check(CLI::IsMember({"gsm8k", "math500", "aime24", "amc23", "custom"}));
    declare(*verb, options.common);
    return verb;
}

}  // namespace anamnesis::app
