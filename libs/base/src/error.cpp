// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/base/error.hpp"

#include <cerrno>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include <asm-generic/errno.h>

#include "anamnesis/base/text.hpp"

namespace anamnesis {

std::string_view to_string(ErrorKind kind) noexcept {
    using enum ErrorKind;
    switch (kind) {
        case usage:
            return "usage";
        case not_found:
            return "not found";
        case malformed:
            return "malformed";
        case unsupported:
            return "unsupported";
        case mismatch:
            return "mismatch";
        case io:
            return "io";
        case exhausted:
            return "exhausted";
        case cancelled:
            return "cancelled";
        case numerical:
            return "numerical";
        case internal:
            return "internal";
    }
    return "internal";
}

int to_exit_code(ErrorKind kind) noexcept {
    using enum ErrorKind;
    switch (kind) {
        case usage:
            return 2;
        case not_found:
            return 3;
        case malformed:
            return 4;
        case unsupported:
            return 5;
        case mismatch:
            return 6;
        case io:
            return 7;
        case exhausted:
            return 8;
        case cancelled:
            return 130;
        case numerical:
            return 9;
        case internal:
            return 70;
    }
    return 70;
}

Error::Error(ErrorKind kind, std::string message)
    : kind_(kind), message_(std::move(message)), rendered_(message_) {}

void Error::add_context(const std::string& what_was_being_done) {
    context_.push_back(what_was_being_done);
    rendered_ += "\n  while " + what_was_being_done;
}

Error io_error(std::string_view action, int errno_value) {
    ErrorKind kind = ErrorKind::io;
    if (errno_value == ENOSPC || errno_value == EDQUOT || errno_value == ENOMEM) {
        kind = ErrorKind::exhausted;
    } else if (errno_value == ENOENT) {
        kind = ErrorKind::not_found;
    }
    return {kind, format("{}: {}", action, std::generic_category().message(errno_value))};
}

}  // namespace anamnesis
