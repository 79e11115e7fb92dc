// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "grading/characters.hpp"
#include "grading/expression.hpp"
#include "grading/expression_parser.hpp"
#include "grading/rational.hpp"
#include "grading/tokens.hpp"

namespace anamnesis::eval::grading {
namespace {

/// Decimals, with the point, above which a number may be a rounded one.
constexpr std::size_t long_decimal = 6;

}  // namespace

bool Parser::is_whole(std::size_t at, std::size_t end) const {
    return at < end && tokens_[at].kind == TokenKind::number &&
           std::ranges::all_of(tokens_[at].text, is_digit);
}

Parser::Maybe Parser::literal(std::size_t end) {
    const Token token = next();
    const auto value = read_decimal(token.text);
    if (!value) {
        return std::nullopt;
    }
    const std::size_t point = token.text.find('.');
    result_.has_long_decimal |= point != std::string::npos &&
                                token.text.find('(') == std::string::npos &&
                                token.text.size() - point > long_decimal;
    const bool may_be_mixed = is_whole(position_, end);
    ++position_;
    if (may_be_mixed) {
        if (const auto fraction = mixed_part(end)) {
            return number(*value + *fraction);
        }
    }
    return number(*value);
}

std::optional<Rational> Parser::mixed_part(std::size_t end) {
    std::size_t at = position_;
    std::string above;
    std::string below;
    if (at < end && tokens_[at].is_command("frac")) {
        ++at;
        above = integer_argument(at, end, below);
        if (below.empty()) {
            below = integer_argument(at, end, below);
        }
    } else if (is_whole(at, end) && tokens_[at].has_space_before && at + 2 < end &&
               tokens_[at + 1].is_symbol("/") && is_whole(at + 2, end)) {
        above = tokens_[at].text;
        below = tokens_[at + 2].text;
        at += 3;
    }
    const auto numerator = read_decimal(above);
    const auto denominator = read_decimal(below);
    if (!numerator || !denominator || *numerator >= *denominator) {
        return std::nullopt;
    }
    position_ = at;
    return Rational(*numerator / *denominator);
}

std::string Parser::integer_argument(std::size_t& at, std::size_t end, std::string& rest) const {
    if (at + 2 < end && tokens_[at].is_symbol("{") && is_whole(at + 1, end) &&
        tokens_[at + 2].is_symbol("}")) {
        at += 3;
        return tokens_[at - 2].text;
    }
    if (!is_whole(at, end)) {
        return {};
    }
    const std::string& text = tokens_[at].text;
    ++at;
    if (rest.empty() && text.size() == 2) {
        rest = text.substr(1);
        return text.substr(0, 1);
    }
    return text.size() == 1 ? text : std::string();
}

}  // namespace anamnesis::eval::grading
