// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "anamnesis/report/document.hpp"
#include "anamnesis/reproduction/findings.hpp"

namespace anamnesis::reproduction {

/// The page: claims and goals with what became of them, the paper's table, recall by length,
/// recall against reasoning, gradients by distance, drift, and every seed.
report::Document to_document(const Findings& findings);

/// The paper's table and the verdicts, for a terminal.
std::string to_text(const Findings& findings);

}  // namespace anamnesis::reproduction
