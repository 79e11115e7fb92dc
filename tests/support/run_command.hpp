// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <functional>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace anamnesis::testing {

/// How a program ended and what it printed.
struct CommandResult {
    int exit_code = -1;
    bool was_killed = false;
    std::string output;  ///< standard output
    std::string errors;  ///< standard error
};

struct CommandOptions {
    std::vector<std::pair<std::string, std::string>> environment{};
    std::optional<std::chrono::microseconds> kill_after{};
    /// Sent as soon as the program has printed something.
    std::optional<int> signal_at_output{};
    /// Runs beside the program, which it may signal; it must end by itself when the program does
    /// not do what it waits for.
    std::function<void(pid_t program)> beside{};
};

/// Runs a program to its end (or kills it on the way), no shell between.
inline CommandResult run_command(const std::vector<std::string>& arguments,
                                 const CommandOptions& options = {}) {
    int out[2];
    int err[2];
    if (::pipe2(out, O_CLOEXEC) != 0 || ::pipe2(err, O_CLOEXEC) != 0) {
        throw std::runtime_error("no pipe");
    }
    std::vector<char*> argv;
    for (const std::string& argument : arguments) {
        argv.push_back(const_cast<char*>(argument.c_str()));
    }
    argv.push_back(nullptr);
    const pid_t child = ::fork();
    if (child == 0) {
        ::dup2(out[1], STDOUT_FILENO);
        ::dup2(err[1], STDERR_FILENO);
        for (const auto& [name, value] : options.environment) {
            ::setenv(name.c_str(), value.c_str(), 1);
        }
        ::execv(argv[0], argv.data());
        ::_exit(127);
    }
    ::close(out[1]);
    ::close(err[1]);
    CommandResult result;
    std::thread killer;
    if (options.kill_after) {
        killer = std::thread([&] {
            std::this_thread::sleep_for(*options.kill_after);
            ::kill(child, SIGKILL);
        });
    }
    std::thread companion;
    if (options.beside) {
        companion = std::thread([&] { options.beside(child); });
    }
    const auto drain = [](int descriptor, std::string& text, const auto& at_output) {
        char buffer[4096];
        ssize_t count = 0;
        while ((count = ::read(descriptor, buffer, sizeof buffer)) > 0 ||
               (count < 0 && errno == EINTR)) {
            text.append(buffer, static_cast<std::size_t>(count > 0 ? count : 0));
            at_output();
        }
        ::close(descriptor);
    };
    std::thread errors([&] { drain(err[0], result.errors, [] {}); });
    bool is_signalled = false;
    drain(out[0], result.output, [&] {
        if (options.signal_at_output && !std::exchange(is_signalled, true)) {
            ::kill(child, *options.signal_at_output);
        }
    });
    errors.join();
    if (killer.joinable()) {
        killer.join();
    }
    if (companion.joinable()) {
        companion.join();
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    result.was_killed = WIFSIGNALED(status);
    result.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    return result;
}

}  // namespace anamnesis::testing
