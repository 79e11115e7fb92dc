// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "anamnesis/base/watch.hpp"

#include "options.hpp"
#include "terminal.hpp"

namespace anamnesis::app {

/// Each verb runs to its exit code: 0 done, 1 the answer is no. Failures are Errors.
int run(const PrintText& request, Terminal& terminal);
int run(const InspectOptions& options, Terminal& terminal);
int run(const DriftOptions& options, Terminal& terminal, const Watch& watch);
int run(const RestoreOptions& options, Terminal& terminal, const Watch& watch);
int run(const VerifyOptions& options, Terminal& terminal, const Watch& watch);
int run(const UndoOptions& options, Terminal& terminal, const Watch& watch);
int run(const ApplyOptions& options, Terminal& terminal, const Watch& watch);
int run(const GradeOptions& options, Terminal& terminal);
int run(const ExampleOptions& options, Terminal& terminal);
int run(const PromptsOptions& options, Terminal& terminal);
int run(const ReportOptions& options, Terminal& terminal);

}  // namespace anamnesis::app
