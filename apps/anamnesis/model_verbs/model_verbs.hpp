// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "anamnesis/base/watch.hpp"

#include "options.hpp"
#include "terminal.hpp"

namespace anamnesis::app {

/// Verbs that run a model, to their exit code. Failures are Errors.
int run(const GenerateOptions& options, Terminal& terminal, const Watch& watch);
int run(const LogitsOptions& options, Terminal& terminal);
int run(const TrainOptions& options, Terminal& terminal, const Watch& watch);
int run(const GradientsOptions& options, Terminal& terminal, const Watch& watch);
int run(const AttentionOptions& options, Terminal& terminal, const Watch& watch);
int run(const ProbeOptions& options, Terminal& terminal, const Watch& watch);
int run(const ReproduceOptions& options, Terminal& terminal, const Watch& watch);
int run(const DemoOptions& options, Terminal& terminal, const Watch& watch);

}  // namespace anamnesis::app
