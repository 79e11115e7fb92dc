// SPDX-License-Identifier: Apache-2.0
#include "code_points.hpp"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include <utf8proc.h>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/language/utf8.hpp"

namespace anamnesis::language::jinja {
namespace {

utf8proc_category_t find_category(char32_t code) {
    return utf8proc_category(static_cast<utf8proc_int32_t>(code));
}

bool is_letter(char32_t code) {
    const auto category = find_category(code);
    return category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_LO;
}

bool is_cased(char32_t code) {
    const auto category = find_category(code);
    return category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_LT;
}

/// Full case mappings of these have several characters, or look at their neighbours.
bool has_special_case(char32_t code) {
    utf8proc_int32_t folded[8];
    int boundary = 0;
    const utf8proc_ssize_t count = utf8proc_decompose_char(
        static_cast<utf8proc_int32_t>(code), folded, 8, UTF8PROC_CASEFOLD, &boundary);
    constexpr char32_t capital_sigma = 0x3A3;
    return count > 1 || code == capital_sigma || find_category(code) == UTF8PROC_CATEGORY_LT;
}

char32_t change_case(char32_t code, bool is_upper) {
    if (code < 0x80) {
        const bool changes = is_upper ? code >= 'a' && code <= 'z' : code >= 'A' && code <= 'Z';
        return changes ? code ^ 0x20U : code;
    }
    if (has_special_case(code)) {
        std::string character;
        append_utf8(character, code);
        throw Error(ErrorKind::unsupported,
                    format("changing the case of {} is not supported", in_quotes(character)));
    }
    const auto point = static_cast<utf8proc_int32_t>(code);
    return static_cast<char32_t>(is_upper ? utf8proc_toupper(point) : utf8proc_tolower(point));
}

template <class Change>
std::string map_characters(std::string_view text, Change&& change) {
    std::string result;
    result.reserve(text.size());
    for (std::size_t at = 0; at < text.size();) {
        append_utf8(result, change(next_character(text, at)));
    }
    return result;
}

template <class Test>
bool holds_for_all(std::string_view text, Test&& test) {
    for (std::size_t at = 0; at < text.size();) {
        if (!test(next_character(text, at))) {
            return false;
        }
    }
    return !text.empty();
}

bool has_one_case(std::string_view text, utf8proc_category_t other) {
    bool is_any = false;
    for (std::size_t at = 0; at < text.size();) {
        const char32_t code = next_character(text, at);
        const auto category = find_category(code);
        if (category == other || category == UTF8PROC_CATEGORY_LT) {
            return false;
        }
        is_any = is_any || is_cased(code);
    }
    return is_any;
}

std::size_t find_last_character(std::string_view text) {
    std::size_t at = text.size() - 1;
    while (at > 0 && (static_cast<unsigned char>(text[at]) & 0xC0U) == 0x80U) {
        --at;
    }
    return at;
}

bool holds_character(std::string_view characters, std::string_view character) {
    return characters.find(character) != std::string_view::npos;
}

template <class Test>
std::string_view strip_left_while(std::string_view text, Test&& test) {
    while (!text.empty()) {
        std::size_t end = 0;
        const char32_t code = next_character(text, end);
        if (!test(code, text.substr(0, end))) {
            break;
        }
        text.remove_prefix(end);
    }
    return text;
}

template <class Test>
std::string_view strip_right_while(std::string_view text, Test&& test) {
    while (!text.empty()) {
        const std::size_t begin = find_last_character(text);
        std::size_t end = begin;
        const char32_t code = next_character(text, end);
        if (!test(code, text.substr(begin))) {
            break;
        }
        text = text.substr(0, begin);
    }
    return text;
}

}  // namespace

std::int64_t count_characters(std::string_view text) {
    std::int64_t count = 0;
    for (const char c : text) {
        count += (static_cast<unsigned char>(c) & 0xC0U) != 0x80U ? 1 : 0;
    }
    return count;
}

std::vector<std::size_t> find_characters(std::string_view text) {
    std::vector<std::size_t> offsets;
    for (std::size_t at = 0; at < text.size(); ++at) {
        if ((static_cast<unsigned char>(text[at]) & 0xC0U) != 0x80U) {
            offsets.push_back(at);
        }
    }
    offsets.push_back(text.size());
    return offsets;
}

bool is_white_space(char32_t code) {
    if (code < 0x80) {
        return code == ' ' || (code >= 0x09 && code <= 0x0D) || (code >= 0x1C && code <= 0x1F);
    }
    constexpr char32_t next_line = 0x85;
    const auto category = find_category(code);
    return code == next_line || category == UTF8PROC_CATEGORY_ZS ||
           category == UTF8PROC_CATEGORY_ZL || category == UTF8PROC_CATEGORY_ZP;
}

std::size_t find_part(std::string_view text, std::string_view part, std::size_t from) {
    if (from > text.size()) {
        return std::string_view::npos;
    }
    if (part.empty()) {
        return from;
    }
    const void* found = ::memmem(text.data() + from, text.size() - from, part.data(), part.size());
    return found == nullptr
               ? std::string_view::npos
               : static_cast<std::size_t>(static_cast<const char*>(found) - text.data());
}

std::string_view strip_left(std::string_view text) {
    return strip_left_while(text,
                            [](char32_t code, std::string_view) { return is_white_space(code); });
}

std::string_view strip_left(std::string_view text, std::string_view characters) {
    return strip_left_while(text, [&](char32_t, std::string_view character) {
        return holds_character(characters, character);
    });
}

std::string_view strip_right(std::string_view text) {
    return strip_right_while(text,
                             [](char32_t code, std::string_view) { return is_white_space(code); });
}

std::string_view strip_right(std::string_view text, std::string_view characters) {
    return strip_right_while(text, [&](char32_t, std::string_view character) {
        return holds_character(characters, character);
    });
}

std::string to_upper(std::string_view text) {
    return map_characters(text, [](char32_t code) { return change_case(code, true); });
}

std::string to_lower(std::string_view text) {
    return map_characters(text, [](char32_t code) { return change_case(code, false); });
}

std::string capitalise(std::string_view text) {
    bool is_first = true;
    return map_characters(text, [&](char32_t code) {
        const char32_t changed = change_case(code, is_first);
        is_first = false;
        return changed;
    });
}

std::string swap_case(std::string_view text) {
    return map_characters(text, [](char32_t code) {
        return change_case(code, find_category(code) == UTF8PROC_CATEGORY_LL);
    });
}

std::string to_title(std::string_view text) {
    bool is_inside = false;
    return map_characters(text, [&](char32_t code) {
        const char32_t changed = is_cased(code) ? change_case(code, !is_inside) : code;
        is_inside = is_cased(code);
        return changed;
    });
}

bool test_characters(std::string_view text, std::string_view name) {
    if (name == "isspace") {
        return holds_for_all(text, is_white_space);
    }
    if (name == "isalpha") {
        return holds_for_all(text, is_letter);
    }
    if (name == "isascii") {
        return text.empty() || holds_for_all(text, [](char32_t code) { return code < 0x80; });
    }
    if (name == "isdecimal") {
        return holds_for_all(
            text, [](char32_t code) { return find_category(code) == UTF8PROC_CATEGORY_ND; });
    }
    if (name == "isupper") {
        return has_one_case(text, UTF8PROC_CATEGORY_LL);
    }
    if (name == "islower") {
        return has_one_case(text, UTF8PROC_CATEGORY_LU);
    }
    if (name == "isdigit" || name == "isnumeric" || name == "isalnum") {
        // Beyond ASCII Python asks for properties that the library does not have.
        return holds_for_all(text, [&](char32_t code) {
            const auto category = find_category(code);
            if (category == UTF8PROC_CATEGORY_NO || category == UTF8PROC_CATEGORY_NL ||
                (code >= 0x2E80 && name == "isnumeric")) {
                throw Error(
                    ErrorKind::unsupported,
                    format("'{}' of numerals that are no decimal digits is not supported", name));
            }
            return category == UTF8PROC_CATEGORY_ND || (name == "isalnum" && is_letter(code));
        });
    }
    throw Error(ErrorKind::unsupported, format("the method '{}' of a text is not supported", name));
}

}  // namespace anamnesis::language::jinja
