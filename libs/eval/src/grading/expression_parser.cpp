// SPDX-License-Identifier: Apache-2.0
#include "grading/expression_parser.hpp"

#include <algorithm>
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

namespace anamnesis::eval::grading {
namespace {

constexpr int deepest_nesting = 60;

}  // namespace

std::optional<Expression> Parser::run() {
    const auto root = fraction_or_sum(tokens_.size());
    if (!root || position_ != tokens_.size()) {
        return std::nullopt;
    }
    return std::move(result_);
}

Parser::Maybe Parser::sum(std::size_t end) {
    if (++depth_ > deepest_nesting) {
        return std::nullopt;
    }
    Maybe left;
    while (has(end)) {
        bool is_negative = false;
        bool has_sign = false;
        while (has(end) && (next().is_symbol("+") || next().is_symbol("-"))) {
            is_negative ^= next().is_symbol("-");
            has_sign = true;
            ++position_;
        }
        if (left && !has_sign) {
            break;
        }
        Maybe term = product(end);
        if (!term) {
            return std::nullopt;
        }
        if (is_negative) {
            term = unary(Operation::negate, *term);
        }
        left = left ? binary(Operation::add, *left, *term) : *term;
    }
    --depth_;
    return left;
}

bool Parser::is_times(const Token& token) {
    return token.is_symbol("*") || token.is_command("cdot") || token.is_command("times") ||
           token.is_command("bullet");
}

bool Parser::is_divided(const Token& token) {
    return token.is_symbol("/") || token.is_command("div");
}

Parser::Maybe Parser::product(std::size_t end) {
    Maybe left = signed_factor(end);
    while (left && has(end)) {
        const bool divides = is_divided(next());
        if (divides || is_times(next())) {
            ++position_;
            const Maybe right = signed_factor(end);
            if (!right) {
                return std::nullopt;
            }
            left = binary(divides ? Operation::divide : Operation::multiply, *left, *right);
        } else if (starts_factor(next())) {
            const Maybe right = factor(end);
            if (!right) {
                return std::nullopt;
            }
            left = binary(Operation::multiply, *left, *right);
        } else {
            break;
        }
    }
    return left;
}

Parser::Maybe Parser::signed_factor(std::size_t end) {
    bool is_negative = false;
    while (next_is(end, "-") || next_is(end, "+")) {
        is_negative ^= next().is_symbol("-");
        ++position_;
    }
    const Maybe value = has(end) ? factor(end) : std::nullopt;
    return value && is_negative ? unary(Operation::negate, *value) : value;
}

bool Parser::starts_factor(const Token& token) {
    switch (token.kind) {
        case TokenKind::number:
        case TokenKind::word:
            return false;
        case TokenKind::letter:
            return true;
        case TokenKind::command:
            return token.text != "cdot" && token.text != "times" && token.text != "div" &&
                   token.text != "rfloor" && token.text != "rceil" && token.text != "\\" &&
                   token.text != "over" && token.text != "circ";
        case TokenKind::symbol:
            return token.text == "(" || token.text == "[" || token.text == "{";
    }
    return false;
}

Parser::Maybe Parser::factor(std::size_t end) {
    Maybe value = base(end);
    while (value && has(end)) {
        if (next().is_symbol("^")) {
            ++position_;
            value = raised(*value, end);
        } else if (next().is_symbol("!")) {
            ++position_;
            value = unary(Operation::factorial, *value);
        } else if (next().is_symbol("%")) {
            ++position_;
            value = unary(Operation::percent, *value);
        } else if (next().is_command("circ")) {
            ++position_;
            value = unary(Operation::degree, *value);
        } else {
            break;
        }
    }
    return value;
}

Parser::Maybe Parser::raised(Index value, std::size_t end) {
    if (has(end) && next().is_command("circ")) {
        ++position_;
        return unary(Operation::degree, value);
    }
    if (position_ + 2 < end && next().is_symbol("{") && tokens_[position_ + 1].is_command("circ") &&
        tokens_[position_ + 2].is_symbol("}")) {
        position_ += 3;
        return unary(Operation::degree, value);
    }
    const Maybe exponent = argument(end);
    return exponent ? Maybe(binary(Operation::power, value, *exponent)) : std::nullopt;
}

Parser::Maybe Parser::argument(std::size_t end) {
    bool is_negative = false;
    while (next_is(end, "-") || next_is(end, "+")) {
        is_negative ^= next().is_symbol("-");
        ++position_;
    }
    if (!has(end)) {
        return std::nullopt;
    }
    // Towers such as 2^3^4 associate to the right.
    Maybe value = base(end);
    if (value && next_is(end, "^") && ++depth_ < deepest_nesting) {
        ++position_;
        value = raised(*value, end);
        --depth_;
    }
    return value && is_negative ? unary(Operation::negate, *value) : value;
}

Parser::Maybe Parser::digit_argument(std::size_t end) {
    if (has(end) && next().kind == TokenKind::number && next().text.size() > 1 &&
        std::ranges::all_of(next().text, is_digit)) {
        Token& token = tokens_[position_];
        const Index value = number(Rational(token.text.front() - '0'));
        token.text.erase(0, 1);
        return value;
    }
    if (!has(end)) {
        return std::nullopt;
    }
    return next_is(end, "-") || next_is(end, "+") ? argument(end) : base(end);
}

std::size_t Parser::closing(std::size_t open, std::size_t end) const {
    int level = 0;
    for (std::size_t i = open; i < end; ++i) {
        const Token& token = tokens_[i];
        if (token.kind != TokenKind::symbol) {
            continue;
        }
        if (token.text == "(" || token.text == "[" || token.text == "{") {
            ++level;
        } else if ((token.text == ")" || token.text == "]" || token.text == "}") && --level == 0) {
            return i;
        }
    }
    return end;
}

Parser::Maybe Parser::enclosed(std::size_t close, std::size_t end) {
    if (close >= end) {
        return std::nullopt;
    }
    const Maybe value = fraction_or_sum(close);
    if (!value || position_ != close) {
        return std::nullopt;
    }
    ++position_;
    return value;
}

Parser::Maybe Parser::fraction_or_sum(std::size_t end) {
    Maybe left = sum(end);
    if (left && has(end) && (next().is_command("over") || next().is_command("choose"))) {
        const bool is_over = next().is_command("over");
        ++position_;
        const Maybe right = sum(end);
        left = right
                   ? Maybe(binary(is_over ? Operation::divide : Operation::binomial, *left, *right))
                   : std::nullopt;
    }
    return left;
}

Parser::Maybe Parser::base(std::size_t end) {
    if (++depth_ > deepest_nesting) {
        return std::nullopt;
    }
    const Maybe value = parse_base(end);
    --depth_;
    return value;
}

Parser::Maybe Parser::parse_base(std::size_t end) {
    const Token token = next();
    switch (token.kind) {
        case TokenKind::number:
            return literal(end);
        case TokenKind::letter:
            ++position_;
            return named(Operation::symbol, token.text + subscript(end));
        case TokenKind::word:
            return std::nullopt;
        case TokenKind::command:
            ++position_;
            return command(token.text, end);
        case TokenKind::symbol:
            break;
    }
    if (token.text == "(" || token.text == "[" || token.text == "{") {
        const std::size_t close = closing(position_, end);
        ++position_;
        return enclosed(close, end);
    }
    return token.text == "|" ? absolute(end) : std::nullopt;
}

std::optional<Expression> parse_expression(Tokens tokens) {
    return tokens.empty() ? std::nullopt : Parser(tokens).run();
}

}  // namespace anamnesis::eval::grading
