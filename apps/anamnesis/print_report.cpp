// SPDX-License-Identifier: Apache-2.0
#include "print_report.hpp"

#include "anamnesis/base/text.hpp"
#include "anamnesis/eval/report_files.hpp"

#include "options/common.hpp"
#include "terminal.hpp"

namespace anamnesis::app {

void print_report(const eval::EvaluationReport& report,
                  const CommonOptions& options,
                  Terminal& terminal) {
    if (options.json) {
        terminal.result(report.json);
    }
    if (!report.page.empty()) {
        terminal.say(report.text + format("report: {}", report.page.string()));
    }
}

}  // namespace anamnesis::app
