// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace anamnesis::language::jinja {

/// Text is well-formed UTF-8 here; positions and lengths are in code points.

std::int64_t count_characters(std::string_view text);

/// Byte offsets of all characters, and the length in bytes at the end.
std::vector<std::size_t> find_characters(std::string_view text);

/// Python's str.isspace() of one character.
bool is_white_space(char32_t code);

/// The first place of `part` at byte `from` or later, npos where there is none; linear time.
std::size_t find_part(std::string_view text, std::string_view part, std::size_t from = 0);

/// Without white space, or without any of `characters`, at the ends.
std::string_view strip_left(std::string_view text);
std::string_view strip_left(std::string_view text, std::string_view characters);
std::string_view strip_right(std::string_view text);
std::string_view strip_right(std::string_view text, std::string_view characters);

/// Python's str.upper(), lower(), …   Errors: `unsupported` for a character that becomes several or
/// depends on its neighbours.
std::string to_upper(std::string_view text);
std::string to_lower(std::string_view text);
std::string capitalise(std::string_view text);
std::string swap_case(std::string_view text);
std::string to_title(std::string_view text);

/// Python's str.isalpha() and so on, by their names.   Errors: `unsupported` for another name.
bool test_characters(std::string_view text, std::string_view name);

}  // namespace anamnesis::language::jinja
