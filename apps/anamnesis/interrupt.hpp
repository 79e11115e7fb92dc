// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <stop_token>
#include <thread>

namespace anamnesis::app {

/// Turns SIGINT and SIGTERM into a stop while it lives; main owns the only one. The first signal
/// asks for the stop. Those of the next five seconds are the same wish: a double Ctrl-C, or a
/// terminal and a launcher that both send one. A later one ends the process at once.
class StopSignals {
public:
    /// Errors: `io`.
    StopSignals();
    StopSignals(const StopSignals&) = delete;
    StopSignals& operator=(const StopSignals&) = delete;
    /// Signals do again what they do by default.
    ~StopSignals();

    std::stop_token token() const { return source_.get_token(); }

private:
    void listen();

    int read_end_ = -1;
    int write_end_ = -1;
    std::stop_source source_;
    std::thread listener_;
};

}  // namespace anamnesis::app
