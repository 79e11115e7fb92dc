// SPDX-License-Identifier: Apache-2.0
#include "evaluation/report_files.hpp"
#include "options.hpp"
#include "terminal.hpp"
#include "verbs/verbs.hpp"

namespace anamnesis::app {

int run(const ReportOptions& options, Terminal& terminal) {
    write_reports(options.folders, options.pre, options.post, options.common, terminal);
    return 0;
}

}  // namespace anamnesis::app
