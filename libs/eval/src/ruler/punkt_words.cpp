// SPDX-License-Identifier: Apache-2.0
#include "ruler/punkt_words.hpp"

#include <cstddef>
#include <string_view>
#include <vector>

#include "anamnesis/eval/unicode.hpp"

namespace anamnesis::eval {
namespace {

std::size_t count_run(std::u32string_view text, std::size_t at, char32_t code) {
    std::size_t end = at;
    while (end < text.size() && text[end] == code) {
        ++end;
    }
    return end - at;
}

/// The length of `--…`, `..…` or `. . .` at a place; 0 for none.
std::size_t multiple_punctuation(std::u32string_view text, std::size_t at) {
    for (const char32_t code : {U'-', U'.'}) {
        if (const std::size_t length = count_run(text, at, code); length >= 2) {
            return length;
        }
    }
    std::size_t end = at;
    std::size_t pairs = 0;
    while (end + 1 < text.size() && text[end] == U'.' && is_python_space(text[end + 1])) {
        end += 2;
        ++pairs;
    }
    // The run must end in a full stop: give back pairs until one does.
    for (; pairs >= 2; --pairs, end -= 2) {
        if (end < text.size() && text[end] == U'.') {
            return end + 1 - at;
        }
    }
    return 0;
}

bool begins_word(char32_t code) {
    constexpr std::u32string_view others = U"(\"`{[:;&#*@)}]-,";
    return others.find(code) == std::u32string_view::npos;
}

bool ends_before(std::u32string_view text, std::size_t at) {
    return at == text.size() || is_python_space(text[at]) || is_punkt_non_word(text[at]) ||
           multiple_punctuation(text, at) > 0;
}

std::size_t end_of_word(std::u32string_view text, std::size_t begin) {
    if (const std::size_t length = multiple_punctuation(text, begin); length > 0) {
        return begin + length;
    }
    if (!begins_word(text[begin])) {
        return begin + 1;
    }
    std::size_t end = begin + 1;
    while (!ends_before(text, end) && !(text[end] == U',' && ends_before(text, end + 1))) {
        ++end;
    }
    return end;
}

}  // namespace

bool is_punkt_non_word(char32_t code) noexcept {
    constexpr std::u32string_view set = U"?!)\";}]*:@'({[";
    return set.find(code) != std::u32string_view::npos;
}

std::vector<std::u32string_view> punkt_words(std::u32string_view text) {
    std::vector<std::u32string_view> words;
    for (std::size_t at = 0; at < text.size();) {
        if (is_python_space(text[at])) {
            ++at;
            continue;
        }
        const std::size_t end = end_of_word(text, at);
        words.push_back(text.substr(at, end - at));
        at = end;
    }
    return words;
}

}  // namespace anamnesis::eval
