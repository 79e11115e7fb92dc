// SPDX-License-Identifier: Apache-2.0
#include "grading/compound_reader.hpp"

#include <cstddef>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "grading/characters.hpp"
#include "grading/expression.hpp"
#include "grading/quantity_reader.hpp"
#include "grading/rational.hpp"
#include "grading/tokens.hpp"
#include "grading/units.hpp"
#include "grading/value.hpp"

namespace anamnesis::eval::grading {
namespace {

struct Amount {
    Tokens number;
    Unit unit;
};

bool is_joint(const Token& token) {
    return token.is_symbol(",") || token.is_symbol("+") || token.is_symbol("{") ||
           token.is_symbol("}") || (token.kind == TokenKind::word && lower(token.text) == "and");
}

bool is_unit_token(const Token& token) {
    return token.kind == TokenKind::word || token.kind == TokenKind::letter;
}

/// One amount at `place`, which is then passed: its number ends where its unit begins.
/// An "m" after hours says minutes.
std::optional<Amount> take_amount(Tokens tokens, std::size_t& place, bool follows_time) {
    const std::size_t begin = place;
    std::string money;
    if (tokens[place].is_command("dollar")) {
        money = "dollar";
        ++place;
    }
    const std::size_t number = place;
    while (place < tokens.size() && !is_unit_token(tokens[place]) &&
           !tokens[place].is_symbol(",")) {
        ++place;
    }
    if (place == number || tokens[number].kind != TokenKind::number) {
        return std::nullopt;
    }
    Tokens digits = tokens.subspan(number, place - number);
    while (digits.size() > 1 && digits.back().is_symbol("{")) {
        digits = digits.first(digits.size() - 1);
    }
    if (money.empty()) {
        if (place == tokens.size() || place == begin || !is_unit_token(tokens[place])) {
            return std::nullopt;
        }
        money = tokens[place++].text;
        money = money == "m" && follows_time ? "min" : money;
        place += place < tokens.size() && tokens[place].is_symbol(".") ? 1 : 0;
    }
    Amount amount{.number = digits, .unit = parse_unit({money})};
    return amount.unit.dimension.empty() ? std::nullopt : std::optional(std::move(amount));
}

std::vector<Amount> take_amounts(Tokens tokens) {
    std::vector<Amount> amounts;
    std::size_t place = 0;
    while (place < tokens.size()) {
        auto amount = take_amount(
            tokens, place, !amounts.empty() && amounts.front().unit.dimension == "time");
        if (!amount ||
            (!amounts.empty() && (amount->unit.dimension != amounts.front().unit.dimension ||
                                  amount->unit.factor >= amounts.back().unit.factor))) {
            return {};
        }
        amounts.push_back(std::move(*amount));
        while (place < tokens.size() && is_joint(tokens[place])) {
            ++place;
        }
    }
    return amounts;
}

/// The sum in one of the units.
std::optional<Expression> sum_in(const std::vector<Amount>& amounts, const Unit& unit) {
    std::vector<Token> sum;
    const auto symbol = [&sum](std::string text) {
        sum.push_back({TokenKind::symbol, std::move(text), false, false});
    };
    const auto number = [&sum](const mpz_class& value) {
        sum.push_back({TokenKind::number, value.get_str(), false, false});
    };
    for (const Amount& amount : amounts) {
        const Rational factor(amount.unit.factor / unit.factor);
        symbol(sum.empty() ? "(" : "+");
        symbol("(");
        sum.insert(sum.end(), amount.number.begin(), amount.number.end());
        symbol(")");
        symbol("*");
        number(factor.get_num());
        symbol("/");
        number(factor.get_den());
    }
    symbol(")");
    return parse_expression(sum);
}

}  // namespace

std::optional<Value> read_compound(Tokens tokens) {
    const auto rest = without_lead(tokens);
    if (!rest) {
        return std::nullopt;
    }
    const std::vector<Amount> amounts = take_amounts(*rest);
    if (amounts.size() < 2) {
        return std::nullopt;
    }
    auto sum = sum_in(amounts, amounts.front().unit);
    if (!sum) {
        return std::nullopt;
    }
    Value value;
    value.expression = std::move(*sum);
    value.in_last_unit = sum_in(amounts, amounts.back().unit);
    value.unit = amounts.front().unit;
    return value;
}

}  // namespace anamnesis::eval::grading
