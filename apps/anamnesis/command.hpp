// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <stop_token>
#include <string>
#include <vector>

#include "anamnesis/base/watch.hpp"

#include "terminal.hpp"

namespace anamnesis::app {

/// What differs between the programs of the command.
struct Program {
    /// Makes the token that signals trip; called once, before a verb that looks at it.
    std::function<std::stop_token()> make_stop;
    /// Becomes the program that runs models. Empty in that program itself.
    std::function<int(char** argv)> hand_over{};
};

/// Reads a command line and runs its verb to the exit code.
/// Errors: `usage`; those of the verb.
int run_command(int argc, char** argv, const Program& program);

/// Runs a verb of this program as a command line would, the name of the program left out.
int run_verb(const std::vector<std::string>& words, Terminal& terminal, const Watch& watch);

/// The exit code of `run`; what it throws is printed and becomes the exit code of its kind.
int report_errors(const std::function<int()>& run) noexcept;

}  // namespace anamnesis::app
