// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "anamnesis/eval/grading/lm_eval_rules.hpp"

#include "grading/characters.hpp"
#include "grading/replace_text.hpp"

namespace anamnesis::eval::grading {
namespace {

/// Characters, not bytes.
std::size_t count_characters(std::string_view text) {
    return static_cast<std::size_t>(std::ranges::count_if(
        text, [](char c) { return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U; }));
}

/// \sqrt3 to \sqrt{3}; raises at the end of the text.
std::optional<std::string> fix_roots(const std::string& text) {
    const auto parts = pieces(text, "\\sqrt");
    std::string result(parts.front());
    for (std::size_t i = 1; i < parts.size(); ++i) {
        const std::string_view part = parts[i];
        if (part.empty()) {
            return std::nullopt;
        }
        const std::size_t first = character_length(part);
        result += "\\sqrt";
        if (part.front() == '{') {
            result += part;
        } else {
            result.append("{").append(part.substr(0, first)).append("}").append(part.substr(first));
        }
    }
    return result;
}

/// \frac12 to \frac{1}{2}; raises at the end of the text, leaves all as it is before one character.
std::optional<std::string> fix_fractions(const std::string& text) {
    const auto parts = pieces(text, "\\frac");
    std::string result(parts.front());
    for (std::size_t i = 1; i < parts.size(); ++i) {
        const std::string_view part = parts[i];
        if (part.empty()) {
            return std::nullopt;
        }
        result += "\\frac";
        if (part.front() == '{') {
            result += part;
            continue;
        }
        const std::size_t first = character_length(part);
        const std::string_view below = part.substr(first);
        if (below.empty()) {
            return text;
        }
        const std::size_t second = character_length(below);
        result.append("{").append(part.substr(0, first)).append("}");
        if (below.front() == '{') {
            result += below;
        } else {
            result.append("{")
                .append(below.substr(0, second))
                .append("}")
                .append(below.substr(second));
        }
    }
    return result;
}

enum class Integer : std::uint8_t { none, plain, unusual };

/// Whether Python's int() takes the text, and whether it prints it back unchanged.
Integer integer_kind(std::string_view text) {
    const std::string_view inner = trim(text);
    std::string_view digits = inner;
    if (digits.starts_with('-') || digits.starts_with('+')) {
        digits.remove_prefix(1);
    }
    bool was_digit = false;
    for (const char c : digits) {
        if (!is_digit(c) && !(c == '_' && was_digit)) {
            return Integer::none;
        }
        was_digit = is_digit(c);
    }
    if (!was_digit) {
        return Integer::none;
    }
    const bool is_plain = inner.size() == text.size() && !inner.starts_with('+') &&
                          digits.find('_') == std::string_view::npos &&
                          (digits.size() == 1 || digits.front() != '0') && inner != "-0";
    return is_plain ? Integer::plain : Integer::unusual;
}

/// 1/2 to \frac{1}{2}; raises where a side is no integer.
std::optional<std::string> fix_slash(const std::string& text) {
    const auto sides = pieces(text, "/");
    if (sides.size() != 2) {
        return text;
    }
    const Integer above = integer_kind(sides[0]);
    const Integer below = integer_kind(sides[1]);
    if (above == Integer::none || below == Integer::none) {
        return std::nullopt;
    }
    if (above == Integer::unusual || below == Integer::unusual) {
        return text;
    }
    return "\\frac{" + std::string(sides[0]) + "}{" + std::string(sides[1]) + "}";
}

}  // namespace

std::optional<std::string> hendrycks_strip(std::string_view text) {
    std::string result = replaced(text, "\n", "");
    result = replaced(result, "\\!", "");
    result = replaced(result, "\\\\", "\\");
    result = replaced(result, "tfrac", "frac");
    result = replaced(result, "dfrac", "frac");
    for (const std::string_view removed : {std::string_view("\\left"),
                                           std::string_view("\\right"),
                                           std::string_view("^{\\circ}"),
                                           std::string_view("^\\circ"),
                                           std::string_view("\\$")}) {
        result = replaced(result, removed, "");
    }
    if (const auto parts = pieces(result, "\\text{ "); parts.size() > 1) {
        if (parts.size() != 2) {
            return std::nullopt;
        }
        result = std::string(parts[0]);
    }
    result = replaced(result, "\\%", "");
    result = replaced(result, " .", " 0.");
    result = replaced(result, "{.", "{0.");
    if (result.empty()) {
        return result;
    }
    if (result.front() == '.') {
        result.insert(0, "0");
    }
    if (const auto sides = pieces(result, "=");
        sides.size() == 2 && count_characters(sides[0]) <= 2) {
        result = std::string(sides[1]);
    }
    auto fixed = fix_roots(result);
    if (!fixed) {
        return std::nullopt;
    }
    fixed = fix_fractions(replaced(*fixed, " ", ""));
    if (!fixed) {
        return std::nullopt;
    }
    return fix_slash(*fixed == "0.5" ? std::string("\\frac{1}{2}") : *fixed);
}

std::optional<std::string> hendrycks_last_boxed(std::string_view text) {
    constexpr std::string_view spaced = "\\boxed ";
    if (const std::size_t at = text.rfind(spaced); at != std::string_view::npos) {
        const std::string_view rest = text.substr(at + spaced.size());
        return std::string(spaced) + std::string(rest.substr(0, rest.find('$')));
    }
    std::size_t begin = text.rfind("\\boxed");
    begin = begin == std::string_view::npos ? text.rfind("\\fbox") : begin;
    if (begin == std::string_view::npos) {
        return std::nullopt;
    }
    long level = 0;
    for (std::size_t i = begin; i < text.size(); ++i) {
        level += text[i] == '{' ? 1 : 0;
        if (text[i] == '}' && --level == 0) {
            return std::string(text.substr(begin, i - begin + 1));
        }
    }
    return std::nullopt;
}

}  // namespace anamnesis::eval::grading
