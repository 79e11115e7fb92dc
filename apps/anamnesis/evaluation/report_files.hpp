// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "options.hpp"
#include "terminal.hpp"

namespace anamnesis::app {

/// Reads one folder of an evaluation, or one of recall and one of reasoning together; writes
/// report.html, summary.md, summary.csv and summary.json into the first, and prints the figures.
/// Errors: `usage` for more than one folder of a kind.
void write_reports(const std::vector<std::string>& folders,
                   const std::string& pre,
                   const std::string& post,
                   const CommonOptions& common,
                   Terminal& terminal);

}  // namespace anamnesis::app
