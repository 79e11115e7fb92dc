// SPDX-License-Identifier: Apache-2.0
#include "character_class.hpp"

#include <array>
#include <cstddef>
#include <cstdint>

#include <utf8proc.h>

namespace anamnesis::language {
namespace {

using enum CharacterClass;

constexpr std::array<CharacterClass, 128> ascii_classes = [] {
    std::array<CharacterClass, 128> table{};
    for (std::size_t code = 0; code < table.size(); ++code) {
        const bool is_letter = (code >= 'a' && code <= 'z') || (code >= 'A' && code <= 'Z');
        const bool is_number = code >= '0' && code <= '9';
        const bool is_space = code == ' ' || (code >= 0x09 && code <= 0x0D);
        table[code] = is_letter ? letter : is_number ? number : is_space ? space : other;
    }
    return table;
}();

}  // namespace

bool is_white_space(char32_t code) {
    return code == 0x20 || (code >= 0x09 && code <= 0x0D) || code == 0x85 || code == 0xA0 ||
           code == 0x1680 || (code >= 0x2000 && code <= 0x200A) || code == 0x2028 ||
           code == 0x2029 || code == 0x202F || code == 0x205F || code == 0x3000;
}

CharacterClass classify(char32_t code) {
    if (code < ascii_classes.size()) {
        return ascii_classes[code];
    }
    if (is_white_space(code)) {
        return space;
    }
    switch (utf8proc_category(static_cast<utf8proc_int32_t>(code))) {
        case UTF8PROC_CATEGORY_LU:
        case UTF8PROC_CATEGORY_LL:
        case UTF8PROC_CATEGORY_LT:
        case UTF8PROC_CATEGORY_LM:
        case UTF8PROC_CATEGORY_LO:
            return letter;
        case UTF8PROC_CATEGORY_MN:
        case UTF8PROC_CATEGORY_MC:
        case UTF8PROC_CATEGORY_ME:
            return mark;
        case UTF8PROC_CATEGORY_ND:
        case UTF8PROC_CATEGORY_NL:
        case UTF8PROC_CATEGORY_NO:
            return number;
        default:
            return other;
    }
}

bool is_word_character(char32_t code) {
    if (code == 0x200C || code == 0x200D) {
        return true;
    }
    const auto category = utf8proc_category(static_cast<utf8proc_int32_t>(code));
    const CharacterClass kind = classify(code);
    return kind == letter || kind == mark || category == UTF8PROC_CATEGORY_ND ||
           category == UTF8PROC_CATEGORY_NL || category == UTF8PROC_CATEGORY_PC;
}

}  // namespace anamnesis::language
