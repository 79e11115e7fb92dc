// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/eval/unicode.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <utf8proc.h>

#include "anamnesis/language/utf8.hpp"

namespace anamnesis::eval {
namespace {

using language::append_utf8;
using language::read_utf8;

utf8proc_category_t general_category(char32_t code) {
    return utf8proc_category(static_cast<utf8proc_int32_t>(code));
}

char32_t to_lower(char32_t code) {
    return static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(code)));
}

bool is_cased(char32_t code) {
    const auto category = general_category(code);
    const auto as_int = static_cast<utf8proc_int32_t>(code);
    return category == UTF8PROC_CATEGORY_LU || category == UTF8PROC_CATEGORY_LL ||
           category == UTF8PROC_CATEGORY_LT || utf8proc_tolower(as_int) != as_int ||
           utf8proc_toupper(as_int) != as_int;
}

/// Case_Ignorable: marks, modifiers, format characters, and what joins words.
bool is_case_ignorable(char32_t code) {
    switch (general_category(code)) {
        case UTF8PROC_CATEGORY_MN:
        case UTF8PROC_CATEGORY_ME:
        case UTF8PROC_CATEGORY_CF:
        case UTF8PROC_CATEGORY_LM:
        case UTF8PROC_CATEGORY_SK:
            return true;
        default:
            break;
    }
    constexpr std::u32string_view joiners =
        U"'.:\u00B7\u0387\u055F\u05F4\u2018\u2019\u2024\u2027"
        U"\uFE13\uFE52\uFE55\uFF07\uFF0E\uFF1A";
    return joiners.find(code) != std::u32string_view::npos;
}

std::vector<char32_t> decode_utf8(std::string_view text) {
    std::vector<char32_t> characters;
    characters.reserve(text.size());
    for (std::size_t at = 0; at < text.size();) {
        const auto step = read_utf8(text, at);
        characters.push_back(step.code);
        at += step.length;
    }
    return characters;
}

/// A cased letter before and none after, case-ignorable ones apart.
bool is_final(const std::vector<char32_t>& text, std::size_t at) {
    std::size_t before = at;
    while (before > 0 && is_case_ignorable(text[before - 1])) {
        --before;
    }
    if (before == 0 || !is_cased(text[before - 1])) {
        return false;
    }
    std::size_t after = at + 1;
    while (after < text.size() && is_case_ignorable(text[after])) {
        ++after;
    }
    return after == text.size() || !is_cased(text[after]);
}

}  // namespace

bool is_python_space(char32_t code) noexcept {
    return (code >= 0x09 && code <= 0x0D) || (code >= 0x1C && code <= 0x20) || code == 0x85 ||
           code == 0xA0 || code == 0x1680 || (code >= 0x2000 && code <= 0x200A) || code == 0x2028 ||
           code == 0x2029 || code == 0x202F || code == 0x205F || code == 0x3000;
}

bool is_python_upper(char32_t code) noexcept {
    if (code < 0x80) {
        return code >= 'A' && code <= 'Z';
    }
    return general_category(code) == UTF8PROC_CATEGORY_LU;
}

bool is_python_lower(char32_t code) noexcept {
    if (code < 0x80) {
        return code >= 'a' && code <= 'z';
    }
    return general_category(code) == UTF8PROC_CATEGORY_LL;
}

bool is_python_digit(char32_t code) noexcept {
    if (code < 0x80) {
        return code >= '0' && code <= '9';
    }
    return general_category(code) == UTF8PROC_CATEGORY_ND;
}

bool is_python_word_letter(char32_t code) noexcept {
    if (code < 0x80) {
        return (code >= 'a' && code <= 'z') || (code >= 'A' && code <= 'Z') || code == '_';
    }
    switch (general_category(code)) {
        case UTF8PROC_CATEGORY_LU:
        case UTF8PROC_CATEGORY_LL:
        case UTF8PROC_CATEGORY_LT:
        case UTF8PROC_CATEGORY_LM:
        case UTF8PROC_CATEGORY_LO:
        case UTF8PROC_CATEGORY_NL:
        case UTF8PROC_CATEGORY_NO:
            return true;
        default:
            return false;
    }
}

std::string_view python_strip(std::string_view text) {
    std::size_t begin = 0;
    while (begin < text.size()) {
        const auto step = read_utf8(text, begin);
        if (!is_python_space(step.code)) {
            break;
        }
        begin += step.length;
    }
    std::size_t end = begin;
    for (std::size_t at = begin; at < text.size();) {
        const auto step = read_utf8(text, at);
        at += step.length;
        if (!is_python_space(step.code)) {
            end = at;
        }
    }
    return text.substr(begin, end - begin);
}

std::string python_lower(std::string_view text) {
    const std::vector<char32_t> characters = decode_utf8(text);
    std::string result;
    result.reserve(text.size());
    for (std::size_t i = 0; i < characters.size(); ++i) {
        const char32_t code = characters[i];
        if (code < 0x80) {
            result += static_cast<char>(code >= 'A' && code <= 'Z' ? code + 32 : code);
        } else if (code == 0x130) {
            result += "i\xCC\x87";
        } else if (code == 0x3A3) {
            append_utf8(result, is_final(characters, i) ? 0x3C2 : 0x3C3);
        } else {
            append_utf8(result, to_lower(code));
        }
    }
    return result;
}

}  // namespace anamnesis::eval
