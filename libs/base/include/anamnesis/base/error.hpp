// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <concepts>
#include <cstdint>
#include <exception>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace anamnesis {

/// What a caller may do about a failure. Each kind has one exit code (docs/errors.md).
enum class ErrorKind : std::uint8_t {
    usage,        ///< the request itself is wrong
    not_found,    ///< a file, tensor or layer that was asked for does not exist
    malformed,    ///< a file breaks the rules of its format
    unsupported,  ///< well-formed, but outside what the project handles
    mismatch,     ///< two inputs do not fit each other
    io,           ///< the operating system refused a read, write, sync or rename
    exhausted,    ///< no space, no quota, no memory
    cancelled,    ///< the user interrupted
    numerical,    ///< a computation gave no number: a training run that diverged
    internal,     ///< a mistake of ours
};

/// The word printed for a kind: "malformed", "not found"…
std::string_view to_string(ErrorKind kind) noexcept;

/// The exit code of the command for a kind: 2 usage, 3 not_found, 4 malformed, 5 unsupported,
/// 6 mismatch, 7 io, 8 exhausted, 9 numerical, 70 internal, 130 cancelled.
int to_exit_code(ErrorKind kind) noexcept;

/// The only exception type this project throws.
///
/// The message says what is wrong, then the thing's name, then what was found and what was
/// expected: lower case, no full stop. Context lines are added on the way up.
class Error : public std::exception {
public:
    Error(ErrorKind kind, std::string message);

    ErrorKind kind() const noexcept { return kind_; }
    const std::string& message() const noexcept { return message_; }
    const std::vector<std::string>& context() const noexcept { return context_; }

    /// The message and one "  while …" line for each context.
    const char* what() const noexcept override { return rendered_.c_str(); }

    void add_context(const std::string& what_was_being_done);

private:
    ErrorKind kind_;
    std::string message_;
    std::vector<std::string> context_;
    std::string rendered_;
};

/// An Error of kind `io` (or `exhausted` for a full disk or quota) from `errno_value`.
/// `action` reads like "writing 'out/model.safetensors'".
Error io_error(std::string_view action, int errno_value);

/// Runs `body`; if it throws an Error, adds the line made by `describe` and rethrows it.
/// `describe` runs only on failure, so it may format freely.
template <std::invocable Describe, std::invocable Body>
decltype(auto) in_context(Describe&& describe, Body&& body) {
    try {
        return std::forward<Body>(body)();
    } catch (Error& error) {
        error.add_context(std::forward<Describe>(describe)());
        throw;
    }
}

}  // namespace anamnesis
