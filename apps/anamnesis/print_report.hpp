// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "anamnesis/eval/report_files.hpp"

#include "options/common.hpp"
#include "terminal.hpp"

namespace anamnesis::app {

/// Prints the figures of an evaluation and where its page is; with --json the summary.
void print_report(const eval::EvaluationReport& report,
                  const CommonOptions& options,
                  Terminal& terminal);

}  // namespace anamnesis::app
