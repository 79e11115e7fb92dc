// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string_view>
#include <utility>

#include "anamnesis/base/error.hpp"

/// What a fuzz target defines and libFuzzer, or replay_main.cpp, calls.
// NOLINTNEXTLINE(readability-identifier-naming): the name is libFuzzer's
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace anamnesis::fuzz {

inline std::string_view to_text(const std::uint8_t* data, std::size_t size) {
    return size == 0 ? std::string_view()
                     : std::string_view(reinterpret_cast<const char*>(data), size);
}

/// Ends the process: the target was promised something that does not hold.
[[noreturn]] inline void broken_promise(std::string_view promise) {
    static_cast<void>(std::fprintf(
        stderr, "broken promise: %.*s\n", static_cast<int>(promise.size()), promise.data()));
    std::abort();
}

inline void expect(bool holds, std::string_view promise) {
    if (!holds) {
        broken_promise(promise);
    }
}

/// The kinds with which a parser may refuse what it is given. Fuzzed bytes cannot make the disk
/// fail or the user interrupt, and `internal` is a mistake of ours.
inline bool is_refusal(ErrorKind kind) {
    using enum ErrorKind;
    switch (kind) {
        case usage:
        case not_found:
        case malformed:
        case unsupported:
        case mismatch:
        case exhausted:
            return true;
        case io:
        case numerical:
        case cancelled:
        case internal:
            return false;
    }
    return false;
}

/// Runs `body`, which either ends with a value or refuses. Other exceptions fly on and end the
/// process.
template <std::invocable Body>
void accept_value_or_refusal(Body&& body) {
    try {
        std::invoke(std::forward<Body>(body));
    } catch (const Error& error) {
        if (!is_refusal(error.kind())) {
            broken_promise(error.what());
        }
    }
}

}  // namespace anamnesis::fuzz
