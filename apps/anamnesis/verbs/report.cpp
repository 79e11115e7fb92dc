// SPDX-License-Identifier: Apache-2.0
#include <string>

#include "anamnesis/base/text.hpp"

#include "evaluation/niah_report.hpp"
#include "options.hpp"
#include "terminal.hpp"
#include "verbs/verbs.hpp"

namespace anamnesis::app {

int run(const ReportOptions& options, Terminal& terminal) {
    const NiahFindings findings = read_niah_findings(options.folder, options.pre, options.post);
    write_reports(findings, options.folder);
    if (options.common.json) {
        terminal.result(to_json(findings).dump(2) + "\n");
    }
    terminal.say(to_text(findings) +
                 format("{0}/report.html, summary.md, summary.csv, summary.json", options.folder));
    return 0;
}

}  // namespace anamnesis::app
