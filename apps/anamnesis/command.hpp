// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>

#include "options.hpp"
#include "terminal.hpp"

namespace anamnesis::app {

/// Runs one verb and gives the exit code.
using Dispatch = std::function<int(const Invocation& invocation)>;

/// A main function: reads the command line, dispatches, prints what went wrong.
int run_command(int argc, char** argv, const Dispatch& dispatch) noexcept;

/// The terminal a verb prints to. With --json standard output holds the JSON alone.
template <class Options>
Terminal terminal_for(const Options& options) {
    return Terminal(options.common.quiet || options.common.json);
}

inline Terminal terminal_for(const PrintText& /*request*/) {
    return Terminal(false);
}

}  // namespace anamnesis::app
