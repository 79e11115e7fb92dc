// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "anamnesis/base/json.hpp"
#include "anamnesis/checkpoint/finding.hpp"

#include "options/reading.hpp"
#include "terminal.hpp"

namespace anamnesis::app {

/// Prints findings, one line each: warnings and errors on standard error, notes on standard output.
/// Errors: `mismatch` where --strict was given and one is more than a note.
void report_findings(const std::vector<checkpoint::Finding>& findings,
                     const ReadingOptions& options,
                     const Terminal& terminal);

/// The JSON of a verb with the findings of the model that it ran.
Json add_findings(Json json, const std::vector<checkpoint::Finding>& findings);

}  // namespace anamnesis::app
