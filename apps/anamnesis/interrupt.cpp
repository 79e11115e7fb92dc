// SPDX-License-Identifier: Apache-2.0
#include "interrupt.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <optional>
#include <system_error>
#include <thread>

#include <signal.h>

#include "anamnesis/base/error.hpp"

namespace anamnesis::app {
namespace {

using Clock = std::chrono::steady_clock;

/// For so long a second signal is the same wish as the first.
constexpr std::chrono::seconds grace(5);

/// A handler may do little more than write to a descriptor; this is where it finds it.
volatile std::sig_atomic_t wake_descriptor = -1;

extern "C" void tell_listener(int signal) {
    const int saved = errno;
    const auto byte = static_cast<unsigned char>(signal);
    static_cast<void>(!::write(wake_descriptor, &byte, 1));
    errno = saved;
}

void handle_with(void (*handler)(int)) {
    struct sigaction action{};
    action.sa_handler = handler;
    action.sa_flags = SA_RESTART;
    ::sigaction(SIGINT, &action, nullptr);
    ::sigaction(SIGTERM, &action, nullptr);
}

}  // namespace

StopSignals::StopSignals() {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) {
        throw io_error("making a pipe for signals", errno);
    }
    read_end_ = ends[0];
    write_end_ = ends[1];
    wake_descriptor = write_end_;
    try {
        listener_ = std::thread([this] { listen(); });
    } catch (const std::system_error&) {
        // Without a thread to listen a signal ends the process, as it does by default.
        return;
    }
    handle_with(tell_listener);
}

StopSignals::~StopSignals() {
    // After a stop the process ends with its own exit code: a second signal is the same wish still.
    handle_with(source_.stop_requested() ? SIG_IGN : SIG_DFL);
    ::close(write_end_);  // which ends the listener
    if (listener_.joinable()) {
        listener_.join();
    }
    ::close(read_end_);
}

void StopSignals::listen() {
    std::optional<Clock::time_point> first;
    while (true) {
        unsigned char signal = 0;
        const ssize_t count = ::read(read_end_, &signal, 1);
        if (count == 0 || (count < 0 && errno != EINTR)) {
            return;
        }
        if (count < 0) {
            continue;
        }
        if (!first) {
            first = Clock::now();
            source_.request_stop();
        } else if (Clock::now() - *first >= grace) {
            handle_with(SIG_DFL);
            ::kill(::getpid(), signal);
        }
    }
}

}  // namespace anamnesis::app
