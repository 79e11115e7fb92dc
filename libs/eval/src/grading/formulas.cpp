// SPDX-License-Identifier: Apache-2.0
#include "grading/formulas.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "grading/characters.hpp"
#include "grading/dollar_signs.hpp"
#include "grading/word_list.hpp"

namespace anamnesis::eval::grading {
namespace {

/// The words between two formulas that follow each other.
std::string_view gap_after(std::string_view sentence,
                           const std::vector<Formula>& formulas,
                           std::size_t i) {
    return sentence.substr(formulas[i].end, formulas[i + 1].begin - formulas[i].end);
}

bool is_connector(std::string_view gap) {
    const std::string text = lower(trim(gap));
    return text == "," || text == "and" || text == "or" || text == ", and" || text == ", or" ||
           text == ";";
}

/// The first of the formulas that hang together with one.
std::size_t first_of_group(std::string_view sentence,
                           const std::vector<Formula>& formulas,
                           std::size_t i) {
    while (i > 0 && is_connector(gap_after(sentence, formulas, i - 1))) {
        --i;
    }
    return i;
}

/// "the value is" leads to what is stated.
bool ends_in_copula(std::string_view words) {
    constexpr auto copulas =
        std::to_array<std::string_view>({"is", "are", "equals", "be", "was", "get", "have"});
    const std::string text = lower(trim(words));
    const std::size_t space = text.find_last_of(" ,$");
    return contains(copulas, text.substr(space == std::string::npos ? 0 : space + 1));
}

/// Digits, signs and commands: no name of a variable.
bool is_numeric(std::string_view text) {
    bool is_command = false;
    bool has_digit = false;
    for (const char c : text) {
        is_command = c == '\\' || (is_command && is_letter(c));
        if (is_letter(c) && !is_command) {
            return false;
        }
        has_digit |= is_digit(c);
    }
    return has_digit;
}

/// "y = 2", "n > 1": a relation of something that is no number.
bool is_relation(std::string_view content) {
    constexpr auto signs = std::to_array<std::string_view>(
        {"=", "<", ">", "\\le ", "\\leq", "\\ge ", "\\geq", "\\ne", "\\in ", "\\equiv"});
    return std::ranges::any_of(signs, [&](std::string_view sign) {
        const std::size_t place = content.find(sign);
        return place != std::string_view::npos && !is_numeric(content.substr(0, place));
    });
}

/// "when", "for all", ", if" before a relation: it says when something holds, and is not stated
/// itself. What comes after "for a total of" is.
bool adds_condition(std::string_view gap, std::string_view content) {
    constexpr auto conditions = std::to_array<std::string_view>(
        {"when", "whenever", "if", "while", "since", "because", "given"});
    constexpr auto prepositions = std::to_array<std::string_view>({"for", "at", "as"});
    constexpr std::ptrdiff_t most_spaces = 2;
    const std::string text = lower(trim(gap));
    const std::size_t begin = text.find_first_not_of(", ");
    if (begin == std::string::npos || ends_in_copula(text) || !is_relation(content)) {
        return false;
    }
    const std::string words = text.substr(begin);
    const std::string first = words.substr(0, words.find(' '));
    return contains(conditions, first) ||
           (contains(prepositions, first) && std::ranges::count(words, ' ') <= most_spaces);
}

/// "is $3$" and "$x = 3$", but not the "$x$" of "the value of $x$".
bool is_stated(std::string_view before, std::string_view content) {
    const std::size_t equals = content.rfind('=');
    if (equals != std::string_view::npos) {
        return is_numeric(content.substr(equals + 1));
    }
    return ends_in_copula(before) && std::ranges::any_of(content, is_digit);
}

}  // namespace

std::vector<Formula> find_formulas(std::string_view sentence) {
    std::vector<Formula> formulas;
    for (std::size_t i = 0; i < sentence.size(); ++i) {
        const bool is_dollar = sentence[i] == '$';
        const bool is_bracket = sentence.substr(i).starts_with("\\(");
        if (sentence[i] == '\\' && !is_bracket) {
            ++i;
            continue;
        }
        if (!is_dollar && !is_bracket) {
            continue;
        }
        const std::size_t begin = i + (is_dollar ? 1 : 2);
        const std::size_t close =
            is_dollar ? find_dollar(sentence, begin) : sentence.find("\\)", begin);
        const std::size_t end = std::min(close, sentence.size());
        formulas.push_back({i,
                            std::min(end + (is_dollar ? 1 : 2), sentence.size()),
                            sentence.substr(begin, end - begin)});
        i = formulas.back().end - 1;
    }
    return formulas;
}

std::size_t find_stated_formula(std::string_view sentence, const std::vector<Formula>& formulas) {
    const std::size_t last = formulas.size() - 1;
    std::size_t chosen = last;
    std::size_t first = first_of_group(sentence, formulas, chosen);
    while (first > 0 &&
           adds_condition(gap_after(sentence, formulas, first - 1), formulas[first].content)) {
        chosen = first - 1;
        first = first_of_group(sentence, formulas, chosen);
    }
    const std::string_view before = first == 0 ? sentence.substr(0, formulas[0].begin)
                                               : gap_after(sentence, formulas, first - 1);
    return is_stated(before, formulas[chosen].content) ? chosen : last;
}

std::string joined_formulas(std::string_view sentence,
                            const std::vector<Formula>& formulas,
                            std::size_t chosen) {
    const std::size_t first = first_of_group(sentence, formulas, chosen);
    std::size_t last = chosen;
    while (last + 1 < formulas.size() && is_connector(gap_after(sentence, formulas, last))) {
        ++last;
    }
    std::string text(formulas[first].content);
    for (std::size_t i = first + 1; i <= last; ++i) {
        const bool offers = gap_after(sentence, formulas, i - 1).find("or") != std::string::npos;
        text += offers ? " \\text{ or } " : " , ";
        text += formulas[i].content;
    }
    std::string_view unit = trim(sentence.substr(formulas[last].end));
    while (!unit.empty() && (unit.back() == '.' || unit.back() == '*' || unit.back() == '!')) {
        unit.remove_suffix(1);
    }
    const bool is_unit = !unit.empty() && unit.size() < 30 &&
                         std::ranges::all_of(unit, [](char c) { return is_letter(c) || c == ' '; });
    return is_unit ? text + " \\text{ " + std::string(unit) + "}" : text;
}

}  // namespace anamnesis::eval::grading
