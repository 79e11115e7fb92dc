// SPDX-License-Identifier: Apache-2.0
#include "interrupt.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <stop_token>
#include <thread>

#include <signal.h>

#include "anamnesis/base/error.hpp"

namespace anamnesis::app {
namespace {

/// A handler may do little more than write to a descriptor; this is where it finds it.
volatile std::sig_atomic_t wake_descriptor = -1;

extern "C" void wake_on_signal(int /*signal*/) {
    const int saved = errno;
    const char byte = 0;
    static_cast<void>(!::write(wake_descriptor, &byte, 1));
    errno = saved;
}

}  // namespace

std::stop_token stop_on_signal() {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) {
        throw io_error("making a pipe for signals", errno);
    }
    wake_descriptor = ends[1];
    struct sigaction action{};
    action.sa_handler = wake_on_signal;
    action.sa_flags = SA_RESTART | static_cast<int>(SA_RESETHAND);
    ::sigaction(SIGINT, &action, nullptr);
    ::sigaction(SIGTERM, &action, nullptr);
    std::stop_source source;
    const std::stop_token token = source.get_token();
    std::thread([descriptor = ends[0], source]() mutable {
        char byte = 0;
        while (::read(descriptor, &byte, 1) < 0 && errno == EINTR) {
        }
        source.request_stop();
    }).detach();
    return token;
}

}  // namespace anamnesis::app
