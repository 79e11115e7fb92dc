// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

namespace anamnesis::eval {

/// Text as Python's `str` methods treat it: what RULER and the graders are written in.
/// Input is UTF-8; bytes that are not read as U+FFFD.

/// `str.isspace` of one character.
bool is_python_space(char32_t code) noexcept;
bool is_python_upper(char32_t code) noexcept;
bool is_python_lower(char32_t code) noexcept;
/// A letter of any script, or an underscore: `[^\W\d]`.
bool is_python_word_letter(char32_t code) noexcept;
bool is_python_digit(char32_t code) noexcept;  ///< `\d`

/// `str.strip()`. A view of `text`.
std::string_view python_strip(std::string_view text);

/// `str.lower()`, with its two exceptions: U+0130 gives two characters, a final sigma its form.
std::string python_lower(std::string_view text);

}  // namespace anamnesis::eval
