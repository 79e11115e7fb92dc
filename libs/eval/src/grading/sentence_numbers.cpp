// SPDX-License-Identifier: Apache-2.0
#include "grading/sentence_numbers.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "grading/characters.hpp"
#include "grading/number_words.hpp"
#include "grading/tokens.hpp"
#include "grading/value.hpp"
#include "grading/word_list.hpp"

namespace anamnesis::eval::grading {
namespace {

constexpr auto prepositions = std::to_array<std::string_view>(
    {"from", "for",  "out",   "of", "per", "because", "since", "if",   "when", "by",
     "at",   "with", "after", "to", "in",  "on",      "while", "than", "each", "not"});
constexpr auto copulas =
    std::to_array<std::string_view>({"is", "are", "was", "were", "equals", "be"});
constexpr auto conclusions =
    std::to_array<std::string_view>({"so", "therefore", "thus", "hence", "then"});

template <std::size_t Count>
bool has(const WordList<Count>& words, const Token& token) {
    return token.kind == TokenKind::word && contains(words, lower(token.text));
}

bool is_number(const Token& token) {
    return token.kind == TokenKind::number;
}

/// Without "which is 4 more", "because …" after a number.
Tokens without_explanation(Tokens tokens) {
    constexpr auto explanations =
        std::to_array<std::string_view>({"which", "because", "since", "where", "who", "as"});
    const auto number = std::ranges::find_if(tokens, is_number);
    const auto word = std::find_if(
        number, tokens.end(), [&](const Token& token) { return has(explanations, token); });
    return tokens.first(static_cast<std::size_t>(word - tokens.begin()));
}

/// Without what comes before the last "so" or "therefore", where a number follows it.
Tokens last_clause(Tokens tokens) {
    for (std::size_t i = tokens.size(); i > 0; --i) {
        const Tokens rest = tokens.subspan(i);
        if (has(conclusions, tokens[i - 1]) && std::ranges::any_of(rest, is_number)) {
            return rest;
        }
    }
    return tokens;
}

/// The number at `place` with its sign, as part of a fraction, and its percent sign; none where
/// a word before it negates.
std::optional<std::string> spelled(Tokens tokens, std::size_t place) {
    if (std::ranges::any_of(tokens.first(place), [](const Token& token) {
            return token.kind == TokenKind::word && is_negation(token.text);
        })) {
        return std::nullopt;
    }
    std::string text;
    const bool has_sign = place > 0 && tokens[place - 1].is_symbol("-") &&
                          (place == 1 || !is_number(tokens[place - 2]));
    const bool is_money = place > 0 && tokens[place - 1].is_command("dollar");
    text += has_sign ? "-" : is_money ? "\\$" : "";
    text += tokens[place].text;
    if (place + 2 < tokens.size() && tokens[place + 1].is_symbol("/") &&
        is_number(tokens[place + 2])) {
        text += "/" + tokens[place + 2].text;
        place += 2;
    }
    if (place + 1 < tokens.size()) {
        const Token& next = tokens[place + 1];
        text += next.is_symbol("%") ? "\\%" : "";
        // A time of day is no number.
        text += next.is_symbol(":") && place + 2 < tokens.size() && is_number(tokens[place + 2])
                    ? ":" + tokens[place + 2].text
                    : "";
    }
    return text;
}

}  // namespace

std::optional<std::string> stated_number(std::string_view sentence) {
    const std::vector<Token> read = tokenise(sentence);
    const std::vector<Token> all = with_number_words(read);
    const Tokens tokens = last_clause(without_explanation(all));
    if (tokens.size() > 1 && std::ranges::all_of(tokens, is_number)) {
        return std::nullopt;  // "2 8"
    }
    for (std::size_t i = tokens.size(); i > 0; --i) {
        if (!tokens[i - 1].is_symbol("=") && !has(copulas, tokens[i - 1])) {
            continue;
        }
        const auto number = std::ranges::find_if(tokens.subspan(i), is_number);
        const auto place = static_cast<std::size_t>(number - tokens.subspan(i).begin()) + i;
        if (place < tokens.size()) {
            return spelled(tokens, place);
        }
    }
    std::optional<std::size_t> last;
    for (std::size_t i = 0; i < tokens.size(); ++i) {
        if (is_number(tokens[i])) {
            last = i;
        } else if (last && (has(prepositions, tokens[i]) || tokens[i].is_symbol("("))) {
            break;
        }
    }
    return last ? spelled(tokens, *last) : std::nullopt;
}

}  // namespace anamnesis::eval::grading
