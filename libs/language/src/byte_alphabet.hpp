// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace anamnesis::language {

/// The printable character by which byte-level vocabularies write a byte: itself where it is
/// printable in Latin-1, else U+0100 and onward.
/// Source: GPT-2, encoder.py, bytes_to_unicode.
char32_t character_of_byte(unsigned char byte);

/// The bytes that `token` spells, or nothing where it holds a character outside the alphabet.
std::optional<std::string> find_spelled_bytes(std::string_view token);

/// The byte of a token of byte fallback, "<0xE4>"; nothing for any other token.
std::optional<unsigned char> find_fallback_byte(std::string_view token);

/// `bytes` as byte-level vocabularies write them.
std::string spell_bytes(std::string_view bytes);

}  // namespace anamnesis::language
