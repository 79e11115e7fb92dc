// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>

namespace anamnesis::eval::grading {

// The C library's versions depend on the locale.

constexpr bool is_digit(char c) {
    return c >= '0' && c <= '9';
}
constexpr bool is_upper(char c) {
    return c >= 'A' && c <= 'Z';
}
constexpr bool is_letter(char c) {
    return is_upper(c) || (c >= 'a' && c <= 'z');
}
constexpr bool is_space(char c) {
    return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v';
}
constexpr char lower(char c) {
    return is_upper(c) ? static_cast<char>(c - 'A' + 'a') : c;
}

inline std::string lower(std::string_view text) {
    std::string result(text);
    std::ranges::transform(result, result.begin(), [](char c) { return lower(c); });
    return result;
}

constexpr std::string_view trim(std::string_view text) {
    while (!text.empty() && is_space(text.front())) {
        text.remove_prefix(1);
    }
    while (!text.empty() && is_space(text.back())) {
        text.remove_suffix(1);
    }
    return text;
}

/// `text.rfind(needle)`; the library's compares at every place. `needle` is not empty.
constexpr std::size_t find_last(std::string_view text, std::string_view needle) {
    std::size_t place = text.rfind(needle.front());
    while (place != std::string_view::npos && !text.substr(place).starts_with(needle)) {
        place = place == 0 ? std::string_view::npos : text.rfind(needle.front(), place - 1);
    }
    return place;
}

}  // namespace anamnesis::eval::grading
