// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace anamnesis::language {

constexpr char32_t replacement_character = 0xFFFD;
constexpr std::string_view replacement_text = "\xEF\xBF\xBD";

/// One step through bytes that may be ill-formed.
struct Utf8Step {
    char32_t code = replacement_character;
    std::size_t length = 1;      ///< bytes of the character, or of the maximal ill-formed part
    bool is_valid = false;       ///< false: U+FFFD stands for the bytes
    bool is_incomplete = false;  ///< the text ends inside a character that could still be whole
};

/// The character at `position` < text.size().
/// Source: Unicode 15, table 3-7 and §3.9 on the substitution of maximal subparts.
Utf8Step read_utf8(std::string_view text, std::size_t position);

bool is_utf8(std::string_view text);

/// `text` with each maximal ill-formed part replaced by U+FFFD, as Python's errors="replace" does.
std::string replace_ill_formed(std::string_view text);

void append_utf8(std::string& text, char32_t code);

/// The character at `position` of text that is known to be well-formed; moves `position` past it.
inline char32_t next_character(std::string_view text, std::size_t& position) {
    const auto byte = [&](std::size_t at) {
        return static_cast<char32_t>(static_cast<unsigned char>(text[at]));
    };
    const char32_t first = byte(position);
    if (first < 0x80) {
        position += 1;
        return first;
    }
    if (first < 0xE0) {
        position += 2;
        return ((first & 0x1FU) << 6U) | (byte(position - 1) & 0x3FU);
    }
    if (first < 0xF0) {
        position += 3;
        return ((first & 0x0FU) << 12U) | ((byte(position - 2) & 0x3FU) << 6U) |
               (byte(position - 1) & 0x3FU);
    }
    position += 4;
    return ((first & 0x07U) << 18U) | ((byte(position - 3) & 0x3FU) << 12U) |
           ((byte(position - 2) & 0x3FU) << 6U) | (byte(position - 1) & 0x3FU);
}

}  // namespace anamnesis::language
