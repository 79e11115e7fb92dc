// SPDX-License-Identifier: Apache-2.0
#include "grading/dollar_signs.hpp"

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>

#include "grading/characters.hpp"

namespace anamnesis::eval::grading {
namespace {

/// True where a dollar sign at `position` opens a formula rather than names money.
bool opens_formula(std::string_view line, std::size_t position) {
    if (position + 1 >= line.size()) {
        return false;
    }
    const std::size_t close = find_dollar(line, position + 1);
    if (!is_digit(line[position + 1])) {
        return close != std::string_view::npos;
    }
    if (close == std::string_view::npos) {
        return false;
    }
    // "$18 and costs $20": the next dollar sign opens, it does not close.
    const bool names_money = close + 1 < line.size() && is_digit(line[close + 1]);
    return !names_money && !is_space(line[close - 1]);
}

/// "5" of "$5", "$ 5", "$-5" and "$.5".
bool begins_amount(std::string_view text) {
    text.remove_prefix(text.starts_with(' ') ? 1 : 0);
    text.remove_prefix(text.starts_with('-') ? 1 : 0);
    text.remove_prefix(text.starts_with('.') ? 1 : 0);
    return !text.empty() && is_digit(text.front());
}

/// "5$" and "1,200.50 $".
bool is_amount_before_sign(std::string_view text) {
    if (!text.ends_with('$')) {
        return false;
    }
    const std::string_view number = trim(text.substr(0, text.size() - 1));
    return !number.empty() && is_digit(number.back()) && std::ranges::all_of(number, [](char c) {
        return is_digit(c) || c == '.' || c == ',' || c == ' ' || c == '-';
    });
}

}  // namespace

std::size_t find_dollar(std::string_view text, std::size_t from) {
    for (std::size_t i = from; i < text.size(); ++i) {
        if (text[i] == '\\') {
            ++i;
        } else if (text[i] == '$') {
            return i;
        }
    }
    return std::string_view::npos;
}

std::string with_money_escaped(std::string_view line) {
    std::string result;
    std::size_t position = 0;
    while (position < line.size()) {
        if (line[position] == '\\' && position + 1 < line.size()) {
            result += line.substr(position, 2);
            position += 2;
        } else if (line[position] != '$') {
            result += line[position++];
        } else if (line.substr(position).starts_with("$$")) {
            result += '$';
            position += 2;
        } else if (opens_formula(line, position)) {
            const std::size_t close = find_dollar(line, position + 1);
            result += line.substr(position, close - position + 1);
            position = close + 1;
        } else {
            result += begins_amount(line.substr(position + 1)) ? "\\$" : "";
            ++position;
        }
    }
    return result;
}

std::string with_money_escaped_in_answer(std::string_view answer) {
    answer = trim(answer);
    if (is_amount_before_sign(answer)) {
        return std::string(answer.substr(0, answer.size() - 1)) + "\\$";
    }
    const bool is_formula = answer.size() > 1 && answer.starts_with('$') && answer.ends_with('$') &&
                            !answer.ends_with("\\$");
    return is_formula ? std::string(answer) : with_money_escaped(answer);
}

}  // namespace anamnesis::eval::grading
