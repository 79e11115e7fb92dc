// SPDX-License-Identifier: Apache-2.0
#include "grading/relation_reader.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "grading/expression.hpp"
#include "grading/identity.hpp"
#include "grading/quantity_reader.hpp"
#include "grading/token_ranges.hpp"
#include "grading/tokens.hpp"
#include "grading/value.hpp"

namespace anamnesis::eval::grading {
namespace {

constexpr long double infinity = std::numeric_limits<long double>::infinity();

bool is_equality(const Token& token) {
    return token.is_symbol("=") || token.is_command("equiv");
}

bool is_approximation(const Token& token) {
    return token.is_command("approx");
}

bool is_order(const Token& token) {
    return token.is_symbol("<") || token.is_symbol(">") || token.is_command("le") ||
           token.is_command("ge") || token.is_command("ne");
}

bool is_any_relation(const Token& token) {
    return is_equality(token) || is_approximation(token) || is_order(token) ||
           token.is_command("in");
}

/// "x", "AB", "f(x)", "m+n", "P(X=1)", "\angle ABC", "x^2+y^2": letters and words, with numbers
/// only as exponents, indices or arguments.
bool is_label(Tokens tokens) {
    int level = 0;
    bool has_name = false;
    bool may_be_number = false;
    for (const Token& token : tokens) {
        const bool is_name = token.kind == TokenKind::letter || token.kind == TokenKind::word ||
                             token.kind == TokenKind::command;
        if (is_opening(token) || is_closing(token)) {
            level += is_opening(token) ? 1 : -1;
        } else if (token.kind == TokenKind::number && level == 0 && !may_be_number) {
            return false;
        }
        if (token.is_command("pi") || token.is_command("sqrt") || token.is_command("frac") ||
            token.is_command("infty")) {
            return false;
        }
        has_name |= is_name;
        may_be_number = token.is_symbol("^") || token.is_symbol("_");
    }
    return has_name;
}

/// "f(x)", "P(2)".
bool is_application(Tokens tokens) {
    return tokens.size() >= 4 && tokens[0].kind == TokenKind::letter && tokens[1].is_symbol("(") &&
           closing_place(tokens.subspan(1)) == tokens.size() - 2;
}

std::optional<Expression> difference(Tokens left, Tokens right) {
    std::vector<Token> tokens;
    const auto symbol = [&](std::string text) {
        tokens.push_back({TokenKind::symbol, std::move(text), false, false});
    };
    symbol("(");
    tokens.insert(tokens.end(), left.begin(), left.end());
    symbol(")");
    symbol("-");
    symbol("(");
    tokens.insert(tokens.end(), right.begin(), right.end());
    symbol(")");
    return parse_expression(tokens);
}

bool has_letter(Tokens tokens) {
    return std::ranges::any_of(tokens, [](const Token& token) {
        return token.kind == TokenKind::letter || token.kind == TokenKind::word;
    });
}

std::optional<Value> read_equality(Tokens tokens, const ValueReading& read) {
    const std::vector<Tokens> sides = split_outside(tokens, is_equality);
    if (sides.empty()) {
        return std::nullopt;
    }
    Tokens left = sides.front();
    Tokens right = sides.back();
    if (sides.size() == 1 || (!has_letter(left) && !is_label(right))) {
        return read(right);  // "= 5", "6 · 7 = 42"
    }
    const bool is_swapped = !is_label(left) && is_label(right);
    if (is_swapped) {
        std::swap(left, right);
    }
    auto equation = difference(left, right);
    if (!is_label(left)) {
        return equation ? std::optional(
                              Value{.kind = ValueKind::equation, .equation = std::move(equation)})
                        : std::nullopt;
    }
    auto value = read(right);
    if (!value) {
        return std::nullopt;
    }
    value->label = canonical(left);
    if (is_application(left)) {
        value->label = "f(x)";
    }
    value->equation = std::move(equation);
    return value;
}

struct Bound {
    std::optional<Expression> end;
    long double value = 0.0L;
    bool is_closed = false;
};

std::optional<Bound> read_bound(Tokens tokens, bool is_closed) {
    const auto quantity = read_quantity(tokens);
    if (!quantity || quantity->kind != ValueKind::quantity) {
        return std::nullopt;
    }
    Bound bound{.end = quantity->expression, .is_closed = is_closed};
    if (quantity->expression.uses_symbol("infty")) {
        bound.end.reset();
        bound.is_closed = false;
        bound.value =
            quantity->expression.nodes.back().operation == Operation::negate ? -infinity : infinity;
    } else {
        bound.value = real_value(quantity->expression);
    }
    // False for NaN: not a number.
    return bound.value == bound.value ? std::optional(bound) : std::nullopt;
}

Expression negated(Expression expression) {
    const auto last = static_cast<std::uint32_t>(expression.nodes.size() - 1);
    expression.nodes.push_back({.operation = Operation::negate, .left = last, .right = last});
    return expression;
}

/// |x| < 3 and |x| > 3 from what holds for |x|.
std::vector<RealInterval> without_absolute(const RealInterval& interval) {
    if (interval.high && !interval.low) {
        RealInterval both = interval;
        both.low = negated(*interval.high);
        both.low_value = -interval.high_value;
        both.has_low = interval.has_high;
        return {both};
    }
    if (interval.low && !interval.high) {
        RealInterval below{.low_value = -infinity};
        below.high = negated(*interval.low);
        below.high_value = -interval.low_value;
        below.has_high = interval.has_low;
        return {below, interval};
    }
    return {};
}

/// x < 5, 3 < x <= 4, x != 0 as parts of the real line.
std::optional<Value> read_order(Tokens tokens) {
    const std::vector<Tokens> sides = split_outside(tokens, is_order);
    const std::size_t first = find_outside(tokens, is_order);
    const std::size_t second = find_outside(tokens, is_order, first + 1);
    if (sides.size() < 2 || sides.size() > 3 || (sides.size() == 3) != (second < tokens.size())) {
        return std::nullopt;
    }
    const auto middle = std::ranges::find_if(sides, [](Tokens side) { return is_label(side); });
    if (middle == sides.end() || (sides.size() == 3 && middle != sides.begin() + 1)) {
        return std::nullopt;
    }
    RealInterval interval{.low_value = -infinity, .high_value = infinity};
    Value value{.kind = ValueKind::intervals, .label = canonical(*middle)};
    for (std::size_t i = 0; i < sides.size(); ++i) {
        const auto place = static_cast<std::size_t>(middle - sides.begin());
        if (i == place) {
            continue;
        }
        const Token& relation = tokens[i == 2 ? second : first];
        const bool is_closed = relation.is_command("le") || relation.is_command("ge");
        const auto bound = read_bound(sides[i], is_closed);
        if (!bound) {
            return std::nullopt;
        }
        if (relation.is_command("ne")) {
            RealInterval below{
                .low = {}, .high = bound->end, .low_value = -infinity, .high_value = bound->value};
            RealInterval above{
                .low = bound->end, .high = {}, .low_value = bound->value, .high_value = infinity};
            value.intervals = {std::move(below), std::move(above)};
            return sides.size() == 2 ? std::optional(std::move(value)) : std::nullopt;
        }
        const bool points_up = relation.is_symbol(">") || relation.is_command("ge");
        const bool is_low = points_up == (i > place);
        (is_low ? interval.low : interval.high) = bound->end;
        (is_low ? interval.low_value : interval.high_value) = bound->value;
        (is_low ? interval.has_low : interval.has_high) = bound->is_closed;
    }
    if (interval.low_value > interval.high_value) {
        return std::nullopt;
    }
    const Tokens name = *middle;
    if (name.size() >= 3 && name.front().is_symbol("|") && name.back().is_symbol("|")) {
        value.label = canonical(name.subspan(1, name.size() - 2));
        value.intervals = without_absolute(interval);
        return value.intervals.empty() ? std::nullopt : std::optional(std::move(value));
    }
    value.intervals = {std::move(interval)};
    return value;
}

/// A determinant or a norm is a number, not the matrix.
std::string find_bars(const std::string& environment) {
    return environment == "vmatrix" ? "|" : environment == "Vmatrix" ? "||" : "";
}

}  // namespace

bool has_relation(Tokens tokens) {
    return find_outside(tokens, is_any_relation) < tokens.size();
}

std::optional<Value> read_relation(Tokens tokens, const ValueReading& read) {
    const std::vector<Tokens> parts = split_outside(tokens, is_approximation);
    if (parts.empty()) {
        return std::nullopt;
    }
    if (parts.size() > 1 || parts.front().size() < tokens.size()) {
        // "14/3 ≈ 4.67" is 14/3; "x ≈ 28" is 28.
        const bool names = parts.size() > 1 && is_label(parts.front());
        return read(names ? parts[1] : parts.front());
    }
    const std::size_t element =
        find_outside(tokens, [](const Token& token) { return token.is_command("in"); });
    if (element < tokens.size()) {
        auto value = read(tokens.subspan(element + 1));
        if (value) {
            value->label = canonical(tokens.first(element));
        }
        return value;
    }
    return find_outside(tokens, is_order) < tokens.size() ? read_order(tokens)
                                                          : read_equality(tokens, read);
}

std::optional<Value> read_matrix(Tokens tokens, const ValueReading& read) {
    // Brackets around \begin{array}.
    if (tokens.size() > 2 && is_opening(tokens.front()) && !tokens.front().is_command("begin") &&
        closing_place(tokens) == tokens.size() - 1) {
        tokens = tokens.subspan(1, tokens.size() - 2);
    }
    const auto is_begin = [](const Token& token) { return token.is_command("begin"); };
    const std::size_t begin = find_outside(tokens, is_begin);
    if (begin == tokens.size()) {
        return std::nullopt;
    }
    const std::size_t end = begin + closing_place(tokens.subspan(begin));
    if (end + 4 < tokens.size()) {
        return std::nullopt;  // something follows \\end{pmatrix}
    }
    // \begin { pmatrix } and, of an array, { cc }
    std::size_t first = begin + 1;
    while (first < end && tokens[first].is_symbol("{")) {
        first += closing_place(tokens.subspan(first)) + 1;
        if (first < end && !tokens[begin + 2].text.ends_with("array")) {
            break;
        }
    }
    if (end >= tokens.size() || first >= end) {
        return std::nullopt;
    }
    Value matrix{.kind = ValueKind::matrix, .brackets = find_bars(tokens[begin + 2].text)};
    std::vector<Token> factor(tokens.begin(), tokens.begin() + static_cast<std::ptrdiff_t>(begin));
    if (!factor.empty() && (factor.back().is_symbol("-") || factor.back().is_symbol("+"))) {
        factor.push_back({TokenKind::number, "1", false, false});
    }
    const auto is_row_break = [](const Token& token) { return token.is_command("\\"); };
    const auto is_cell_break = [](const Token& token) { return token.is_symbol("&"); };
    for (const Tokens row : split_outside(tokens.subspan(first, end - first), is_row_break)) {
        const std::vector<Tokens> cells = split_outside(row, is_cell_break);
        if (matrix.columns != 0 && cells.size() != matrix.columns) {
            return std::nullopt;
        }
        matrix.columns = cells.size();
        for (const Tokens cell : cells) {
            std::vector<Token> product = factor;
            if (!factor.empty()) {
                product.push_back({TokenKind::symbol, "*", false, false});
                product.push_back({TokenKind::symbol, "(", false, false});
            }
            product.insert(product.end(), cell.begin(), cell.end());
            if (!factor.empty()) {
                product.push_back({TokenKind::symbol, ")", false, false});
            }
            auto value = read(product);
            if (!value) {
                return std::nullopt;
            }
            matrix.items.push_back(std::move(*value));
        }
    }
    return matrix.items.empty() ? std::nullopt : std::optional(std::move(matrix));
}

}  // namespace anamnesis::eval::grading
