// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

#include "anamnesis/eval/grading/lm_eval_rules.hpp"

#include "grading/characters.hpp"
#include "grading/replace_text.hpp"

namespace anamnesis::eval::grading {
namespace {

constexpr auto substitutions =
    std::to_array<std::pair<std::string_view, std::string_view>>({{"an ", ""},
                                                                  {"a ", ""},
                                                                  {".$", "$"},
                                                                  {"\\$", ""},
                                                                  {"\\ ", ""},
                                                                  {" ", ""},
                                                                  {"mbox", "text"},
                                                                  {",\\text{and}", ","},
                                                                  {"\\text{and}", ","},
                                                                  {"\\text{m}", "\\text{}"}});

constexpr auto removed_words = std::to_array<std::string_view>(
    {"square",          "ways",     "integers", "dollars", "mph",
     "inches",          "ft",       "hours",    "km",      "units",
     "\\ldots",         "sue",      "points",   "feet",    "minutes",
     "digits",          "cents",    "degrees",  "cm",      "gm",
     "pounds",          "meters",   "meals",    "edges",   "students",
     "childrentickets", "multiples"});

constexpr auto removed_signs = std::to_array<std::string_view>({"\\text{s}",
                                                                "\\text{.}",
                                                                "\\text{\ns}",
                                                                "\\text{}^2",
                                                                "\\text{}^3",
                                                                "\\text{\n}",
                                                                "\\text{}",
                                                                "\\mathrm{th}",
                                                                "^\\circ",
                                                                "^{\\circ}",
                                                                "\\;",
                                                                ",\\!",
                                                                "{,}",
                                                                "\"",
                                                                "\\dots"});

/// Python's \w: beyond ASCII all but Latin-1 signs, general punctuation and mathematical signs.
bool is_word_character(std::string_view character) {
    if (character.size() == 1) {
        const char c = character.front();
        return is_letter(c) || is_digit(c) || c == '_';
    }
    const bool is_latin_sign = character.front() == '\xC2' && character != "\xC2\xAA" &&
                               character != "\xC2\xB5" && character != "\xC2\xBA" &&
                               character != "\xC2\xB2" && character != "\xC2\xB3" &&
                               character != "\xC2\xB9";
    const bool is_sign = character == "\xC3\x97" || character == "\xC3\xB7" ||
                         (character.front() == '\xE2' && character[1] < '\xB0') ||
                         (character.front() == '\xE3' && character[1] == '\x80');
    return !is_latin_sign && !is_sign;
}

bool is_word_at(std::string_view text, std::size_t position) {
    return position < text.size() &&
           is_word_character(text.substr(position, character_length(text.substr(position))));
}

bool is_word_before(std::string_view text, std::size_t position) {
    if (position == 0) {
        return false;
    }
    std::size_t begin = position - 1;
    while (begin > 0 && (static_cast<unsigned char>(text[begin]) & 0xC0U) == 0x80U) {
        --begin;
    }
    return is_word_character(text.substr(begin, position - begin));
}

/// (?<!\\)\bword\b removed.
std::string without_whole_word(const std::string& text, std::string_view word) {
    std::string result;
    std::size_t begin = 0;
    for (std::size_t at = text.find(word); at != std::string::npos; at = text.find(word, at)) {
        const bool is_whole = !is_word_before(text, at) && !is_word_at(text, at + word.size()) &&
                              (at == 0 || text[at - 1] != '\\');
        if (is_whole) {
            result.append(text, begin, at - begin);
            begin = at + word.size();
            at = begin;
        } else {
            ++at;
        }
    }
    return result.append(text, begin);
}

/// The word removed wherever it occurs, except inside names of commands.
std::string without_glued_word(const std::string& text, std::string_view word) {
    std::string result;
    std::size_t begin = 0;
    for (std::size_t i = 0; i <= text.size();) {
        const bool is_command = i + 1 < text.size() && text[i] == '\\' && is_letter(text[i + 1]);
        if (!is_command && i < text.size()) {
            ++i;
            continue;
        }
        result += replaced(std::string_view(text).substr(begin, i - begin), word, "");
        begin = i;
        if (i == text.size()) {
            break;
        }
        ++i;
        while (i < text.size() && is_letter(text[i])) {
            ++i;
        }
        result.append(text, begin, i - begin);
        begin = i;
    }
    return result;
}

/// Of each line with two dollar signs, what is between the first two, in dollar signs.
std::string first_formulas(const std::string& text) {
    std::string result;
    bool is_first = true;
    for (const std::string_view line : pieces(text, "\n")) {
        result += is_first ? "" : "\n";
        is_first = false;
        const std::size_t open = line.find('$');
        const std::size_t close = open == std::string_view::npos ? open : line.find('$', open + 1);
        result += close == std::string_view::npos ? line : line.substr(open, close - open + 1);
    }
    return result;
}

/// `opening` … } unwrapped, up to the first brace of the same line, or the last one.
std::string unwrapped(const std::string& text, std::string_view opening, bool up_to_last) {
    std::string result;
    std::size_t begin = 0;
    std::size_t close = 0;
    for (std::size_t at = text.find(opening); at != std::string::npos;
         at = text.find(opening, at)) {
        const std::size_t inside = at + opening.size();
        close = close >= inside && close != std::string::npos ? close : text.find('}', inside);
        if (close == std::string::npos) {
            break;
        }
        const std::size_t line_end = std::min(text.find('\n', inside), text.size());
        if (line_end < close) {
            at = line_end;
            continue;
        }
        const std::size_t end = up_to_last ? text.rfind('}', line_end) : close;
        result.append(text, begin, at - begin).append(text, inside, end - inside);
        begin = end + 1;
        at = begin;
        close = 0;
    }
    return result.append(text, begin);
}

/// frac12 to frac{1}{2}.
std::string with_fraction_braces(const std::string& text) {
    std::string result;
    std::size_t begin = 0;
    for (std::size_t at = text.find("frac"); at != std::string::npos; at = text.find("frac", at)) {
        const std::string_view rest = std::string_view(text).substr(at + 4);
        const std::size_t first = character_length(rest);
        const std::string_view below = rest.substr(first);
        const std::size_t second = character_length(below);
        if (first == 0 || second == 0 || rest.front() == '{' || below.front() == '\n') {
            ++at;
            continue;
        }
        result.append(text, begin, at + 4 - begin);
        result.append("{").append(rest.substr(0, first)).append("}{");
        result.append(below.substr(0, second)).append("}");
        at += 4 + first + second;
        begin = at;
    }
    return result.append(text, begin);
}

/// sqrt[3]a to sqrt[3]{a}.
std::string with_index_braces(const std::string& text) {
    std::string result;
    std::size_t begin = 0;
    std::size_t close = 0;
    for (std::size_t at = text.find("sqrt["); at != std::string::npos;
         at = text.find("sqrt[", at)) {
        close = close > at + 4 ? close : text.find(']', at + 5);
        if (close == std::string::npos) {
            break;
        }
        const std::string_view after = std::string_view(text).substr(close + 1);
        const std::size_t length = character_length(after);
        if (length == 0 || !is_word_character(after.substr(0, length))) {
            ++at;
            continue;
        }
        result.append(text, begin, close + 1 - begin);
        result.append("{").append(after.substr(0, length)).append("}");
        at = close + 1 + length;
        begin = at;
    }
    return result.append(text, begin);
}

/// sqrt2 to sqrt{2}.
std::string with_root_braces(const std::string& text) {
    std::string result;
    std::size_t begin = 0;
    for (std::size_t at = text.find("sqrt"); at != std::string::npos; at = text.find("sqrt", at)) {
        const std::string_view rest = std::string_view(text).substr(at + 4);
        const std::size_t length = character_length(rest);
        if (length == 0 || rest.front() == '[' || rest.front() == '{') {
            ++at;
            continue;
        }
        result.append(text, begin, at + 4 - begin);
        result.append("{").append(rest.substr(0, length)).append("}");
        at += 4 + length;
        begin = at;
    }
    return result.append(text, begin);
}

/// -?\d{1,3}(,\d{3})+ and nothing else.
bool has_thousands(std::string_view text) {
    text.remove_prefix(text.starts_with('-') ? 1 : 0);
    const auto groups = pieces(text, ",");
    const auto are_digits = [](std::string_view group) {
        return std::ranges::all_of(group, is_digit);
    };
    if (groups.size() < 2 || groups[0].empty() || groups[0].size() > 3 || !are_digits(groups[0])) {
        return false;
    }
    return std::all_of(groups.begin() + 1, groups.end(), [&](std::string_view group) {
        return group.size() == 3 && are_digits(group);
    });
}

}  // namespace

std::string minerva_normalise(std::string_view text) {
    const std::size_t equals = text.rfind('=');
    std::string result(text.substr(equals == std::string_view::npos ? 0 : equals + 1));
    for (const std::string_view word : removed_words) {
        if (is_letter(word.front())) {
            result = without_whole_word(result, word);
        }
    }
    for (const auto& [before, after] : substitutions) {
        result = replaced(result, before, after);
    }
    for (const std::string_view word : removed_words) {
        result =
            is_letter(word.front()) ? without_glued_word(result, word) : replaced(result, word, "");
    }
    for (const std::string_view sign : removed_signs) {
        result = replaced(result, sign, "");
    }
    result = first_formulas(result);
    result = unwrapped(result, "\\text{", false);
    result = unwrapped(result, "\\textbf{", false);
    result = unwrapped(result, "\\overline{", false);
    result = unwrapped(result, "\\boxed{", true);
    result = with_root_braces(with_index_braces(with_fraction_braces(result)));
    result = replaced(result, "$", "");
    return has_thousands(result) ? replaced(result, ",", "") : result;
}

std::string minerva_extract(std::string_view response) {
    constexpr std::string_view opening = "Final Answer: The final answer is";
    constexpr std::string_view ending = " I hope it is correct.";
    const std::string text = std::string(response) + "I hope it is correct.";
    for (std::size_t at = text.find(opening); at != std::string::npos;
         at = text.find(opening, at + 1)) {
        const std::size_t begin = at + opening.size();
        const std::size_t line_end = std::min(text.find('\n', begin), text.size());
        const std::string_view line = std::string_view(text).substr(begin, line_end - begin);
        // One character, whatever it is, comes before the ending.
        for (std::size_t end = line.find(ending); end != std::string_view::npos;
             end = line.find(ending, end + 1)) {
            if (end > 0) {
                std::size_t last = end - 1;
                while (last > 0 && (static_cast<unsigned char>(line[last]) & 0xC0U) == 0x80U) {
                    --last;
                }
                return std::string(trim(line.substr(0, last)));
            }
        }
        at = line_end - 1;
    }
    return "[invalidanswer]";
}

}  // namespace anamnesis::eval::grading
