// SPDX-License-Identifier: Apache-2.0
#include "options/common.hpp"

#include <CLI/CLI.hpp>

#include "anamnesis/base/parallel.hpp"

#include "option_group.hpp"

namespace anamnesis::app {

unsigned CommonOptions::count_threads() const {
    return threads != 0 ? threads : available_threads();
}

void declare_common(CLI::App& app, CommonOptions& options) {
    OptionGroup group(app, "General");
    group.flag("--json", options.json, "Print the result as JSON (docs/json.md).");
    group.flag("-q,--quiet", options.quiet, "Print errors only.");
    group.option("--threads", options.threads, "Threads to use; all cores where it is not given.")
        ->check(CLI::Range(1U, 1024U))
        ->default_str("");
    app.set_help_flag("-h,--help", "Print this text.")->group("General");
}

}  // namespace anamnesis::app
