// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "anamnesis/base/watch.hpp"

#include "terminal.hpp"

namespace anamnesis::app {

/// Becomes the program that runs models.
using HandOver = std::function<int(char** argv)>;

/// Reads a command line and runs its verb to the exit code. While a verb that looks at its stop
/// runs, SIGINT and SIGTERM ask it to stop. `hand_over` is empty in the program that runs models.
/// Errors: `usage`; those of the verb.
int run_command(int argc, char** argv, const HandOver& hand_over);

/// Runs a verb of this program as a command line would, the name of the program left out.
int run_verb(const std::vector<std::string>& words, Terminal& terminal, const Watch& watch);

/// The exit code of `run`; what it throws is printed and becomes the exit code of its kind.
int report_errors(const std::function<int()>& run) noexcept;

}  // namespace anamnesis::app
