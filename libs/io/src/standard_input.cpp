// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/io/standard_input.hpp"

#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <optional>
#include <string>

#include <poll.h>

#include "anamnesis/base/watch.hpp"

namespace anamnesis::io {
namespace {

/// Waits until there is something to read, or the input is over; false after a stop.
bool wait_for_input(const Watch& watch) {
    constexpr int pause = 100;  // milliseconds
    pollfd input{.fd = STDIN_FILENO, .events = POLLIN, .revents = 0};
    while (!watch.is_stopped()) {
        if (::poll(&input, 1, pause) != 0) {
            return true;
        }
    }
    return false;
}

}  // namespace

std::string read_standard_input() {
    std::string text;
    std::string buffer(1U << 16U, '\0');
    while (const std::size_t count = std::fread(buffer.data(), 1, buffer.size(), stdin)) {
        text.append(buffer, 0, count);
    }
    return text;
}

std::optional<std::string> read_input_line(const Watch& watch) {
    std::string line;
    while (wait_for_input(watch)) {
        char c = 0;
        const ssize_t count = ::read(STDIN_FILENO, &c, 1);
        if (count < 0 && errno == EINTR) {
            continue;
        }
        if (count <= 0) {
            return line.empty() ? std::nullopt : std::optional(line);
        }
        if (c == '\n') {
            return line;
        }
        line += c;
    }
    return std::nullopt;
}

}  // namespace anamnesis::io
