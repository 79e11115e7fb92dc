// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <source_location>
#include <string_view>

namespace anamnesis::detail {
[[noreturn]] void check_failed(std::string_view condition,
                               std::string_view text,
                               const std::source_location& where);
}  // namespace anamnesis::detail

/// Guards against mistakes of ours, never of the input. Always on; throws `internal`, so that
/// destructors still remove temporary files.
#define ANAMNESIS_CHECK(condition, text) \
    ((condition)                         \
         ? static_cast<void>(0)          \
         : ::anamnesis::detail::check_failed(#condition, text, ::std::source_location::current()))
