// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "value.hpp"

namespace anamnesis::language::jinja {

/// Python's str.replace(); `count` below 0: all.   Errors: `exhausted`.
std::string replace_parts(std::string_view text,
                          std::string_view old,
                          std::string_view replacement,
                          std::int64_t count = -1);

/// Python's str.splitlines().
std::vector<std::string> split_lines(std::string_view text, bool keeps_ends = false);

/// Spaces (or `fill`) before and after, to a width in characters.   Errors: `exhausted`.
std::string centre(std::string_view text, std::int64_t width, std::string_view fill = " ");

/// Python's `separator.join(items)`, each item printed.   Errors: `exhausted`.
std::string join_texts(std::string_view separator, const std::vector<Value>& items);

}  // namespace anamnesis::language::jinja
