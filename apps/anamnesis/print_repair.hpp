// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <vector>

#include "anamnesis/checkpoint/finding.hpp"
#include "anamnesis/restore/apply.hpp"

#include "options/common.hpp"
#include "terminal.hpp"

namespace anamnesis::app {

/// Prints what a repair wrote: a table of drift and a line an output, or JSON.
void print_results(const std::vector<restore::Result>& results,
                   const std::vector<checkpoint::Finding>& findings,
                   const CommonOptions& options,
                   std::chrono::steady_clock::time_point start,
                   Terminal& terminal);

}  // namespace anamnesis::app
