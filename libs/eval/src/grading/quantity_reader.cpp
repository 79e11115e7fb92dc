// SPDX-License-Identifier: Apache-2.0
#include "grading/quantity_reader.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "grading/characters.hpp"
#include "grading/expression.hpp"
#include "grading/rational.hpp"
#include "grading/tokens.hpp"
#include "grading/units.hpp"
#include "grading/value.hpp"
#include "grading/word_list.hpp"

namespace anamnesis::eval::grading {
namespace {

constexpr auto short_words = std::to_array<std::string_view>(
    {"the", "is",  "are", "so",  "it", "he",  "she", "has",  "was", "an", "we",  "get",
     "of",  "for", "to",  "per", "at", "all", "be",  "only", "its", "by", "usd", "eur"});

constexpr auto prepositions = std::to_array<std::string_view>(
    {"from", "for",  "of",    "in",   "per",     "after", "out", "at",     "by",   "with",  "on",
     "to",   "each", "every", "when", "because", "since", "if",  "during", "left", "using", "as"});

/// Words before a number that make it a bound.
constexpr auto comparisons = std::to_array<std::string_view>({"more",
                                                              "fewer",
                                                              "greater",
                                                              "less",
                                                              "than",
                                                              "least",
                                                              "most",
                                                              "below",
                                                              "above",
                                                              "under",
                                                              "over",
                                                              "between"});

/// True for a word beyond ASCII, such as the unit of 500元.
bool is_foreign(std::string_view word) {
    return std::ranges::any_of(word, [](char c) { return static_cast<unsigned char>(c) >= 0x80; });
}

/// A word that is not a product of letters.
bool is_prose(const Token& token) {
    return token.kind == TokenKind::word &&
           (token.is_text || token.text.size() > 3 || is_foreign(token.text) ||
            contains(short_words, lower(token.text)) || is_unit_word(token.text));
}

/// The unit that a sign, or a code before its amount, names.
std::optional<std::string> currency(const Token& token) {
    constexpr auto commands = std::to_array<std::string_view>({"euro",
                                                               "yen",
                                                               "rupee",
                                                               "ruble",
                                                               "won",
                                                               "shekel",
                                                               "dong",
                                                               "lira",
                                                               "peso",
                                                               "baht",
                                                               "naira",
                                                               "hryvnia"});
    constexpr auto codes = std::to_array<std::string_view>(
        {"usd", "eur", "gbp", "jpy", "cny", "rmb", "inr", "rs", "krw", "chf", "rub"});
    if (token.kind == TokenKind::word && contains(codes, lower(token.text))) {
        return lower(token.text);
    }
    if (token.kind != TokenKind::command) {
        return std::nullopt;
    }
    if (token.text == "dollar" || token.text == "textdollar") {
        return "dollar";
    }
    if (token.text == "pounds") {
        return "sterling";
    }
    return contains(commands, token.text) ? std::optional(token.text) : std::nullopt;
}

/// Takes the currency before or after the amount out of it.
std::vector<std::string> take_currency(std::vector<Token>& parts) {
    const auto take = [&parts](std::size_t place, std::size_t count) {
        std::vector<std::string> words{*currency(parts[place])};
        const auto begin = parts.begin() + static_cast<std::ptrdiff_t>(place);
        parts.erase(begin, begin + static_cast<std::ptrdiff_t>(count));
        return words;
    };
    if (parts.size() > 2 && parts[1].is_command("dollar") && !parts[1].has_space_before &&
        parts[0].text.size() <= 2 && std::ranges::all_of(parts[0].text, is_upper)) {
        const std::string country = lower(parts[0].text);  // HK$, R$
        parts.erase(parts.begin(), parts.begin() + 2);
        return {country == "us" ? "dollar" : country + " dollar"};
    }
    for (std::size_t i = 0; i < std::min<std::size_t>(parts.size(), 2); ++i) {
        if (currency(parts[i]) && (i == 0 || parts[0].is_symbol("-"))) {
            const bool has_point = i + 1 < parts.size() && parts[i + 1].is_symbol(".");
            return take(i, has_point ? 2 : 1);
        }
    }
    if (parts.size() > 1 && parts.back().kind == TokenKind::command && currency(parts.back())) {
        return take(parts.size() - 1, 1);
    }
    return {};
}

/// Takes the signs of one currency out of a sum or product, of which they name the unit:
/// "\$5 + \$6", "3 \times \$5". False where there is another currency than `words` name.
bool take_signs_within(std::vector<Token>& parts, std::vector<std::string>& words) {
    const auto end = std::ranges::find_if(parts, is_prose);
    for (auto part = parts.begin(); part != end; ++part) {
        if (!is_currency_sign(*part)) {
            continue;
        }
        const std::vector<std::string> sign{*currency(*part)};
        if (!conversion(parse_unit(sign), parse_unit(words))) {
            return false;
        }
        words = words.empty() ? sign : words;
    }
    parts.erase(std::remove_if(parts.begin(), end, is_currency_sign), end);
    return true;
}

/// 52_8, 52_{eight}, 1A_{16}, "52 base 8"; number words are numbers by now.
std::optional<Value> read_based(Tokens tokens) {
    std::string digits;
    std::size_t i = 0;
    if (!tokens.empty() && tokens.front().is_symbol("(")) {
        ++i;
    }
    bool has_number = false;
    for (; i < tokens.size() &&
           (tokens[i].kind == TokenKind::number ||
            ((tokens[i].kind == TokenKind::letter || tokens[i].kind == TokenKind::word) &&
             std::ranges::all_of(tokens[i].text, is_upper)));
         ++i) {
        digits += tokens[i].text;
        has_number |= tokens[i].kind == TokenKind::number;
    }
    i += i < tokens.size() && tokens[i].is_symbol(")") ? 1 : 0;
    bool says_base = false;
    std::string base;
    for (; i < tokens.size(); ++i) {
        const Token& token = tokens[i];
        if (token.is_symbol("_") ||
            (token.kind == TokenKind::word && lower(token.text) == "base")) {
            says_base = true;
        } else if (token.kind == TokenKind::number && says_base && base.empty()) {
            base = token.text;
        } else if (!(says_base && (token.is_symbol("{") || token.is_symbol("}"))) &&
                   !(token.kind == TokenKind::word && lower(token.text) == "in" && !says_base)) {
            return std::nullopt;
        }
    }
    const auto value = read_decimal(base);
    if (!has_number || !value || value->get_den() != 1 || *value < 2 || *value > 36) {
        return std::nullopt;
    }
    digits.erase(0, std::min(digits.find_first_not_of('0'), digits.size() - 1));
    return Value{.kind = ValueKind::based, .digits = digits, .base = value->get_num().get_si()};
}

/// The words of a unit and how far they reach: "cm ^ 2", "miles per hour", "m / s", "m s ^ -1".
std::vector<std::string> unit_words(Tokens tokens, std::size_t& position) {
    std::vector<std::string> words;
    for (; position < tokens.size(); ++position) {
        const Token& token = tokens[position];
        const bool is_exponent = !words.empty() && words.back() == "^";
        const bool is_negative = is_exponent && tokens[position - 1].is_symbol("-");
        const bool goes_on =
            token.kind == TokenKind::letter || token.is_symbol("^") || token.is_symbol("/");
        if (token.kind == TokenKind::word || (goes_on && !words.empty()) ||
            (token.kind == TokenKind::number && is_exponent)) {
            words.push_back((is_negative ? "-" : "") + token.text);
        } else if (!(token.is_symbol("{") || token.is_symbol("}") || token.is_symbol(".") ||
                     token.is_symbol("-"))) {
            break;
        }
    }
    return words;
}

/// Of "100 °C" and "100^{\circ C}" the letter is a scale of temperature.
void name_temperature(std::vector<Token>& tokens) {
    const bool is_within_braces = !tokens.empty() && tokens.back().is_symbol("}");
    if (tokens.size() < (is_within_braces ? 4U : 3U)) {
        return;
    }
    auto scale = tokens.end() - (is_within_braces ? 2 : 1);
    const bool follows_braces = (scale - 1)->is_symbol("}");
    const bool is_scale = scale->text == "C" || scale->text == "F";
    if (is_scale && (scale - (follows_braces ? 2 : 1))->is_command("circ")) {
        *scale = {.kind = TokenKind::word,
                  .text = scale->text == "C" ? "celsius" : "fahrenheit",
                  .is_text = true};
        std::rotate(scale, scale + 1, tokens.end());
    }
}

/// Of "20 g/mol" the g is a unit, since mol is one.
void name_numerators(std::vector<Token>& tokens) {
    constexpr auto letters =
        std::to_array<std::string_view>({"m", "s", "h", "g", "l", "L", "N", "J", "W"});
    for (std::size_t i = 1; i + 2 < tokens.size(); ++i) {
        const bool is_letter = tokens[i].kind == TokenKind::letter &&
                               tokens[i - 1].kind == TokenKind::number &&
                               contains(letters, tokens[i].text);
        const bool divides = tokens[i + 1].is_symbol("/") || tokens[i + 1].text == "per";
        if (is_letter && divides && tokens[i + 2].kind == TokenKind::word &&
            is_unit_word(tokens[i + 2].text)) {
            tokens[i].kind = TokenKind::word;
            tokens[i].is_text = true;
        }
    }
}

/// Signs that stand for words ("percent", "degrees") and letters that stand for units.
std::vector<Token> with_signs(Tokens tokens) {
    std::vector<Token> result(tokens.begin(), tokens.end());
    for (std::size_t i = 1; i < result.size(); ++i) {
        const std::string word = result[i].kind == TokenKind::word ? lower(result[i].text) : "";
        if (word == "percent" || word == "percents") {
            result[i] = {TokenKind::symbol, "%"};
        } else if (word == "degrees" || word == "degree" || word == "deg") {
            result[i] = {TokenKind::command, "circ"};
        }
    }
    name_temperature(result);
    name_numerators(result);
    return result;
}

bool has_digit_or_letter(Tokens tokens) {
    return std::ranges::any_of(tokens, [](const Token& token) {
        return token.kind == TokenKind::number || token.kind == TokenKind::letter ||
               token.kind == TokenKind::command ||
               (token.kind == TokenKind::word && !token.is_text);
    });
}

/// The other reading of "70k".
std::optional<Expression> read_thousands(Tokens tokens) {
    if (tokens.size() != 2 || tokens[0].kind != TokenKind::number ||
        !(tokens[1].is(TokenKind::letter, "k") || tokens[1].is(TokenKind::letter, "K")) ||
        tokens[1].has_space_before) {
        return std::nullopt;
    }
    auto number = parse_expression(tokens.first(1));
    if (number) {
        number->nodes.back().value *= 1000;
    }
    return number;
}

}  // namespace

bool is_currency_sign(const Token& token) {
    return token.kind == TokenKind::command && currency(token);
}

std::optional<Tokens> without_lead(Tokens tokens) {
    const auto is_article = [](Tokens rest) {
        return rest.size() > 1 && rest[0].kind == TokenKind::letter &&
               (lower(rest[0].text) == "a" || rest[0].text == "I") && is_prose(rest[1]);
    };
    while (!tokens.empty() &&
           (is_prose(tokens.front()) || is_article(tokens) || tokens.front().is_command("approx") ||
            tokens.front().is_symbol(":"))) {
        if (tokens.size() > 1 && currency(tokens.front())) {
            break;
        }
        if (is_negation(tokens.front().text) || contains(comparisons, lower(tokens.front().text))) {
            return std::nullopt;
        }
        tokens = tokens.subspan(1);
    }
    return tokens;
}

std::optional<Value> read_quantity(Tokens tokens) {
    if (auto based = read_based(tokens)) {
        return based;
    }
    const std::vector<Token> signs = with_signs(tokens);
    const auto rest = without_lead(signs);
    if (!rest || rest->empty()) {
        return std::nullopt;
    }
    std::vector<Token> parts(rest->begin(), rest->end());
    std::vector<std::string> words = take_currency(parts);
    if (!take_signs_within(parts, words)) {
        return std::nullopt;
    }
    const auto first_word = std::ranges::find_if(parts, is_prose);
    auto place = static_cast<std::size_t>(first_word - parts.begin());
    const std::size_t end = place;
    if (place < parts.size()) {
        std::vector<std::string> unit = unit_words(parts, place);
        const auto stop = std::ranges::find_if(unit, [&unit](const std::string& word) {
            // "in" is a preposition before another word, else inches.
            const bool is_inch = word == "in" && (&word == &unit.back() || *(&word + 1) == "^");
            return contains(prepositions, word) && word != "per" && !is_inch;
        });
        if (std::ranges::any_of(unit, is_negation)) {
            return std::nullopt;
        }
        // "3 hours 20 minutes" is not 3; "18 dollars from 9 eggs" is 18.
        if (place < parts.size() && stop == unit.end()) {
            return std::nullopt;
        }
        unit.erase(stop, unit.end());
        words = words.empty() ? std::move(unit) : words;
    }
    const Tokens mathematics(parts.data(), end);
    auto expression =
        has_digit_or_letter(mathematics) ? parse_expression(mathematics) : std::nullopt;
    if (!expression) {
        return std::nullopt;
    }
    Value value;
    value.thousands = read_thousands(mathematics);
    value.expression = std::move(*expression);
    value.unit = parse_unit(words);
    return value;
}

}  // namespace anamnesis::eval::grading
