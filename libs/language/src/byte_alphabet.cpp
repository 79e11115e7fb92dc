// SPDX-License-Identifier: Apache-2.0
#include "byte_alphabet.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "anamnesis/language/utf8.hpp"

namespace anamnesis::language {
namespace {

constexpr std::array<char16_t, 256> characters = [] {
    std::array<char16_t, 256> table{};
    char16_t next = 0x100;
    for (std::size_t byte = 0; byte < table.size(); ++byte) {
        const bool is_printable =
            (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
        table[byte] = is_printable ? static_cast<char16_t>(byte) : next++;
    }
    return table;
}();

constexpr std::size_t alphabet_end = 0x144;

constexpr std::array<std::int16_t, alphabet_end> bytes_of_characters = [] {
    std::array<std::int16_t, alphabet_end> table{};
    table.fill(-1);
    for (std::size_t byte = 0; byte < characters.size(); ++byte) {
        table[characters[byte]] = static_cast<std::int16_t>(byte);
    }
    return table;
}();

}  // namespace

char32_t character_of_byte(unsigned char byte) {
    return characters[byte];
}

std::optional<std::string> find_spelled_bytes(std::string_view token) {
    std::string bytes;
    bytes.reserve(token.size());
    for (std::size_t position = 0; position < token.size();) {
        const char32_t code = next_character(token, position);
        if (code >= alphabet_end || bytes_of_characters[code] < 0) {
            return std::nullopt;
        }
        bytes.push_back(static_cast<char>(bytes_of_characters[code]));
    }
    return bytes;
}

std::optional<unsigned char> find_fallback_byte(std::string_view token) {
    constexpr std::string_view digits = "0123456789ABCDEF";
    if (token.size() != 6 || !token.starts_with("<0x") || token[5] != '>') {
        return std::nullopt;
    }
    const std::size_t high = digits.find(token[3]);
    const std::size_t low = digits.find(token[4]);
    if (high == std::string_view::npos || low == std::string_view::npos) {
        return std::nullopt;
    }
    return static_cast<unsigned char>(high * 16 + low);
}

std::string spell_bytes(std::string_view bytes) {
    std::string text;
    for (const char byte : bytes) {
        append_utf8(text, character_of_byte(static_cast<unsigned char>(byte)));
    }
    return text;
}

}  // namespace anamnesis::language
