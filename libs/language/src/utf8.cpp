// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/language/utf8.hpp"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace anamnesis::language {
namespace {

/// How a character goes on after its first byte.
struct Form {
    std::size_t length = 0;  ///< 0: no character begins so
    unsigned char low = 0x80;
    unsigned char high = 0xBF;  ///< of the second byte
};

Form classify_first_byte(unsigned char first) {
    if (first < 0x80) {
        return {.length = 1};
    }
    if (first < 0xC2) {
        return {};
    }
    if (first < 0xE0) {
        return {.length = 2};
    }
    if (first < 0xF0) {
        return {.length = 3,
                .low = static_cast<unsigned char>(first == 0xE0 ? 0xA0 : 0x80),
                .high = static_cast<unsigned char>(first == 0xED ? 0x9F : 0xBF)};
    }
    if (first < 0xF5) {
        return {.length = 4,
                .low = static_cast<unsigned char>(first == 0xF0 ? 0x90 : 0x80),
                .high = static_cast<unsigned char>(first == 0xF4 ? 0x8F : 0xBF)};
    }
    return {};
}

/// Bytes from `position` on that are ASCII, in steps of eight.
std::size_t ascii_stretch(std::string_view text, std::size_t position) {
    std::size_t end = position;
    while (end + 8 <= text.size()) {
        std::uint64_t word = 0;
        std::memcpy(&word, text.data() + end, sizeof word);
        if ((word & 0x8080808080808080ULL) != 0) {
            break;
        }
        end += 8;
    }
    return end - position;
}

}  // namespace

Utf8Step read_utf8(std::string_view text, std::size_t position) {
    const auto first = static_cast<unsigned char>(text[position]);
    const Form form = classify_first_byte(first);
    if (form.length == 1) {
        return {.code = first, .length = 1, .is_valid = true};
    }
    if (form.length == 0) {
        return {};
    }
    char32_t code = first & (0xFFU >> (form.length + 1));
    for (std::size_t i = 1; i < form.length; ++i) {
        if (position + i == text.size()) {
            return {.length = i, .is_incomplete = true};
        }
        const auto byte = static_cast<unsigned char>(text[position + i]);
        const unsigned char low = i == 1 ? form.low : 0x80;
        const unsigned char high = i == 1 ? form.high : 0xBF;
        if (byte < low || byte > high) {
            return {.length = i};
        }
        code = (code << 6U) | (byte & 0x3FU);
    }
    return {.code = code, .length = form.length, .is_valid = true};
}

bool is_utf8(std::string_view text) {
    std::size_t position = 0;
    while (position < text.size()) {
        position += ascii_stretch(text, position);
        if (position == text.size()) {
            break;
        }
        const Utf8Step step = read_utf8(text, position);
        if (!step.is_valid) {
            return false;
        }
        position += step.length;
    }
    return true;
}

std::string replace_ill_formed(std::string_view text) {
    std::string result;
    result.reserve(text.size());
    std::size_t position = 0;
    while (position < text.size()) {
        const Utf8Step step = read_utf8(text, position);
        result += step.is_valid ? text.substr(position, step.length) : replacement_text;
        position += step.length;
    }
    return result;
}

void append_utf8(std::string& text, char32_t code) {
    const auto push = [&](char32_t byte) { text.push_back(static_cast<char>(byte)); };
    if (code < 0x80) {
        push(code);
    } else if (code < 0x800) {
        push(0xC0U | (code >> 6U));
        push(0x80U | (code & 0x3FU));
    } else if (code < 0x10000) {
        push(0xE0U | (code >> 12U));
        push(0x80U | ((code >> 6U) & 0x3FU));
        push(0x80U | (code & 0x3FU));
    } else {
        push(0xF0U | (code >> 18U));
        push(0x80U | ((code >> 12U) & 0x3FU));
        push(0x80U | ((code >> 6U) & 0x3FU));
        push(0x80U | (code & 0x3FU));
    }
}

}  // namespace anamnesis::language
