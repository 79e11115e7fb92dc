// SPDX-License-Identifier: Apache-2.0
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "anamnesis/eval/report_files.hpp"

#include "option_group.hpp"
#include "options/common.hpp"
#include "print_report.hpp"
#include "terminal.hpp"
#include "verb.hpp"

namespace anamnesis::app {
namespace {

struct ReportOptions {
    CommonOptions common{};
    std::vector<std::string> folders{};
    std::string pre{};
    std::string post{};
    std::string out{};
};

void declare(CLI::App& app, ReportOptions& options) {
    app.add_option(
           "folders", options.folders, "The folder of an evaluation; several make one page.")
        ->required();
    OptionGroup(app, "Output")
        .option("--out", options.out, "The folder of the report. Default: that of one evaluation.");
    OptionGroup roles(app, "Who is who");
    roles.option("--pre", options.pre, "The name of the checkpoint before the fine-tune.");
    roles.option("--post", options.post, "The name of the checkpoint after it.");
}

int run(const ReportOptions& options, Terminal& terminal) {
    const eval::ReportJob job{.folders = {options.folders.begin(), options.folders.end()},
                              .pre = options.pre,
                              .post = options.post,
                              .out = options.out};
    print_report(eval::write_reports(job), options.common, terminal);
    return 0;
}

}  // namespace

Action add_report(CLI::App& app) {
    return make_action<ReportOptions>(app, declare, run);
}

}  // namespace anamnesis::app
