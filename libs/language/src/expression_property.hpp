// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "split_stage.hpp"

namespace anamnesis::language {

// PCRE2's `\s` holds U+180E, which is no White_Space any more.
constexpr std::string_view white_space_members =
    R"(\t-\r\x20\x85\xA0\x{1680}\x{2000}-\x{200A}\x{2028}\x{2029}\x{202F}\x{205F}\x{3000})";
constexpr std::string_view hexadecimal_members = "0-9A-Fa-f";
constexpr std::string_view word_members = R"(\p{Alphabetic}\p{M}\p{Nd}\p{Pc})";

/// `\p{name}` in the words of PCRE2, as what may come between the brackets of a class.
/// Errors: `unsupported` for a name that is no property here.
std::string translate_property(std::string_view name);

/// The class `[:name:]` in the same words, or with '^' in front all others; nothing for other
/// names.
std::optional<std::string_view> find_bracket(std::string_view name, Dialect dialect);

}  // namespace anamnesis::language
