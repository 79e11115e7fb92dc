// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

#include "anamnesis/base/watch.hpp"

#include "interrupt.hpp"
#include "terminal.hpp"

namespace anamnesis::app {

/// What watches the job of this process: signals that end it, a bar that shows how far it is, and
/// the terminal that its lines go to. main makes one, for verbs whose job looks at the stop.
class CommandWatch {
public:
    explicit CommandWatch(const Terminal& terminal)
        : bar_(terminal.is_quiet()),
          watch_(
              bar_,
              signals_.token(),
              [&terminal](std::string_view line) { terminal.say(line); },
              [&terminal](std::string_view line) { terminal.warn(line); }) {}

    const Watch& watch() const& { return watch_; }

private:
    StopSignals signals_;
    ProgressBar bar_;
    Watch watch_;
};

}  // namespace anamnesis::app
