// SPDX-License-Identifier: Apache-2.0
#include "grading/number_words.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "grading/characters.hpp"
#include "grading/rational.hpp"
#include "grading/tokens.hpp"

namespace anamnesis::eval::grading {
namespace {

using Named = std::pair<std::string_view, long>;

constexpr auto small_numbers = std::to_array<Named>(
    {{"zero", 0},     {"one", 1},      {"two", 2},        {"three", 3},     {"four", 4},
     {"five", 5},     {"six", 6},      {"seven", 7},      {"eight", 8},     {"nine", 9},
     {"ten", 10},     {"eleven", 11},  {"twelve", 12},    {"thirteen", 13}, {"fourteen", 14},
     {"fifteen", 15}, {"sixteen", 16}, {"seventeen", 17}, {"eighteen", 18}, {"nineteen", 19},
     {"twenty", 20},  {"thirty", 30},  {"forty", 40},     {"fifty", 50},    {"sixty", 60},
     {"seventy", 70}, {"eighty", 80},  {"ninety", 90}});

constexpr auto scales = std::to_array<Named>(
    {{"hundred", 100}, {"thousand", 1'000}, {"million", 1'000'000}, {"billion", 1'000'000'000}});

constexpr auto parts = std::to_array<Named>(
    {{"half", 2},     {"halves", 2}, {"third", 3},   {"thirds", 3},   {"quarter", 4},
     {"quarters", 4}, {"fourth", 4}, {"fourths", 4}, {"fifth", 5},    {"fifths", 5},
     {"sixth", 6},    {"sixths", 6}, {"seventh", 7}, {"sevenths", 7}, {"eighth", 8},
     {"eighths", 8},  {"ninth", 9},  {"ninths", 9},  {"tenth", 10},   {"tenths", 10}});

template <std::size_t Count>
std::optional<long> find(const std::array<Named, Count>& table, std::string_view word) {
    const auto found = std::ranges::find(table, word, &Named::first);
    return found == table.end() ? std::nullopt : std::optional(found->second);
}

/// Words at the start of `words` that make a number; `used` says how many.
std::optional<long> read_whole(const std::vector<std::string>& words, std::size_t& used) {
    long total = 0;
    long current = 0;
    std::optional<long> result;
    for (std::size_t i = 0; i < words.size() && i < 20; ++i) {
        if (const auto small = find(small_numbers, words[i])) {
            // "twenty eight" adds, "two eight" does not.
            const long last = current % 100;
            if (last != 0 && (last < 20 || *small >= 10 || last % 10 != 0)) {
                break;
            }
            current += *small;
        } else if (const auto scale = find(scales, words[i]); scale && (result || i == 0)) {
            current = std::max(current, 1L) * *scale;
            if (*scale > 100) {
                total += current;
                current = 0;
            }
            if (total > 1'000'000'000'000L || current > 1'000'000'000'000L) {
                return std::nullopt;
            }
        } else if (words[i] == "and" && result && i + 1 < words.size() &&
                   words[i - 1] == "hundred" && find(small_numbers, words[i + 1])) {
            continue;
        } else {
            break;
        }
        result = total + current;
        used = i + 1;
    }
    return result;
}

/// "two-thirds" as two words.
void append_split(std::vector<std::string>& words, const std::string& text) {
    std::size_t begin = 0;
    while (begin <= text.size()) {
        const std::size_t dash = std::min(text.find('-', begin), text.size());
        words.push_back(lower(std::string_view(text).substr(begin, dash - begin)));
        begin = dash + 1;
    }
}

bool is_number_word(const std::string& text) {
    std::vector<std::string> words;
    append_split(words, text);
    return std::ranges::all_of(words, [](const std::string& word) {
        return find(small_numbers, word) || find(scales, word) || find(parts, word);
    });
}

Token number_token(const std::string& digits, const Token& like) {
    Token token = like;
    token.kind = TokenKind::number;
    token.text = digits;
    return token;
}

/// A fraction as the tokens ( a / b ), so that no neighbour binds to a part of it.
void append_fraction(std::vector<Token>& result, long above, long below, const Token& like) {
    const auto symbol = [&](std::string text) {
        result.push_back({TokenKind::symbol, std::move(text), like.has_space_before, false});
    };
    symbol("(");
    result.push_back(number_token(std::to_string(above), like));
    symbol("/");
    result.push_back(number_token(std::to_string(below), like));
    symbol(")");
}

/// Appends the number of a run of number words; false where the run is none.
bool append_number(std::vector<Token>& result,
                   const std::vector<std::string>& words,
                   const Token& like) {
    std::size_t used = 0;
    const auto whole = read_whole(words, used);
    if (whole && used == words.size()) {
        result.push_back(number_token(std::to_string(*whole), like));
        return true;
    }
    if (used + 1 == words.size()) {
        if (const auto part = find(parts, words.back())) {
            append_fraction(result, whole.value_or(1), *part, like);
            return true;
        }
    }
    return false;
}

}  // namespace

std::vector<Token> with_number_words(Tokens tokens) {
    std::vector<Token> result;
    result.reserve(tokens.size());
    for (std::size_t i = 0; i < tokens.size();) {
        std::vector<std::string> words;
        std::size_t end = i;
        while (end < tokens.size() && tokens[end].kind == TokenKind::word &&
               (is_number_word(tokens[end].text) ||
                (end > i && lower(tokens[end].text) == "and" && end + 1 < tokens.size() &&
                 words.back() == "hundred" && is_number_word(tokens[end + 1].text)))) {
            append_split(words, tokens[end].text);
            ++end;
        }
        const bool follows_number = !result.empty() && result.back().kind == TokenKind::number;
        if (end > i && follows_number && words.size() == 1 && find(scales, words.front())) {
            const auto value = read_decimal(result.back().text);
            const Rational scaled =
                value.value_or(Rational(0)) * find(scales, words.front()).value_or(1);
            if (value && scaled.get_den() == 1) {
                result.back().text = scaled.get_num().get_str();
                i = end;
                continue;
            }
        }
        if (end > i && !follows_number && append_number(result, words, tokens[i])) {
            i = end;
            continue;
        }
        const std::size_t stop = std::max(end, i + 1);
        for (; i < stop; ++i) {
            result.push_back(tokens[i]);
        }
    }
    return result;
}

}  // namespace anamnesis::eval::grading
