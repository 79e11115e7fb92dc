// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "grading/expression.hpp"
#include "grading/expression_parser.hpp"
#include "grading/rational.hpp"
#include "grading/tokens.hpp"
#include "grading/word_list.hpp"

namespace anamnesis::eval::grading {
namespace {

constexpr auto functions = std::to_array<std::string_view>(
    {"sin",  "cos",  "tan", "cot", "sec", "csc", "arcsin", "arccos", "arctan", "sinh",
     "cosh", "tanh", "ln",  "log", "exp", "lg",  "abs",    "arccot", "lfloor", "lceil"});

constexpr auto variable_names = std::to_array<std::string_view>(
    {"alpha", "beta",   "gamma", "delta", "epsilon", "varepsilon", "zeta",  "eta",   "theta",
     "kappa", "lambda", "mu",    "nu",    "xi",      "rho",        "sigma", "tau",   "phi",
     "chi",   "psi",    "omega", "Gamma", "Delta",   "Theta",      "Phi",   "Omega", "ell"});

}  // namespace

Parser::Maybe Parser::absolute(std::size_t end) {
    int level = 0;
    std::size_t close = position_ + 1;
    for (; close < end; ++close) {
        const Token& token = tokens_[close];
        if (token.is_symbol("(") || token.is_symbol("{") || token.is_symbol("[")) {
            ++level;
        } else if (token.is_symbol(")") || token.is_symbol("}") || token.is_symbol("]")) {
            --level;
        } else if (token.is_symbol("|") && level == 0) {
            break;
        }
    }
    ++position_;
    const Maybe value = enclosed(close, end);
    return value ? Maybe(named(Operation::function, "abs", *value)) : std::nullopt;
}

std::string Parser::subscript(std::size_t end) {
    std::string name;
    while (has(end)) {
        if (next().is_symbol("'")) {
            name += next().text;
            ++position_;
        } else if (next().is_symbol("_") && position_ + 1 < end) {
            ++position_;
            const std::size_t close = next().is_symbol("{") ? closing(position_, end) : position_;
            const std::size_t begin = next().is_symbol("{") ? position_ + 1 : position_;
            const std::size_t stop = next().is_symbol("{") ? close : close + 1;
            name += "_";
            for (std::size_t i = begin; i < stop; ++i) {
                name += tokens_[i].text;
            }
            position_ = std::min(close + 1, end);
        } else {
            break;
        }
    }
    return name;
}

Parser::Maybe Parser::command(const std::string& name, std::size_t end) {
    if (name == "frac" || name == "binom") {
        const Maybe above = digit_argument(end);
        const Maybe below = above ? digit_argument(end) : std::nullopt;
        return below
                   ? Maybe(binary(
                         name == "frac" ? Operation::divide : Operation::binomial, *above, *below))
                   : std::nullopt;
    }
    if (name == "sqrt") {
        return root(end);
    }
    if (name == "sum" || name == "prod") {
        return sum_over(name == "sum" ? Operation::sum : Operation::product, end);
    }
    if (name == "lfloor" || name == "lceil") {
        return rounding(name, end);
    }
    if (contains(functions, name)) {
        return function(name, end);
    }
    if (name == "pi" || name == "infty") {
        return named(Operation::symbol, name);
    }
    if (!contains(variable_names, name)) {
        return std::nullopt;
    }
    return named(Operation::symbol, "\\" + name + subscript(end));
}

std::size_t Parser::term_end(std::size_t end) const {
    int level = 0;
    for (std::size_t i = position_; i < end; ++i) {
        const Token& token = tokens_[i];
        if (token.is_symbol("(") || token.is_symbol("{") || token.is_symbol("[")) {
            ++level;
        } else if (token.is_symbol(")") || token.is_symbol("}") || token.is_symbol("]")) {
            --level;
        } else if (level == 0 && i > position_ && (token.is_symbol("+") || token.is_symbol("-"))) {
            return i;
        }
    }
    return end;
}

Parser::Maybe Parser::sum_over(Operation operation, std::size_t end) {
    if (is_inside_sum_ || position_ + 4 >= end || !next().is_symbol("_") ||
        !tokens_[position_ + 1].is_symbol("{") ||
        tokens_[position_ + 2].kind != TokenKind::letter ||
        !tokens_[position_ + 3].is_symbol("=")) {
        return std::nullopt;
    }
    const std::size_t close = closing(position_ + 1, end);
    const std::string variable = tokens_[position_ + 2].text;
    position_ += 4;
    const Maybe low = enclosed(close, end);
    if (!low || !next_is(end, "^")) {
        return std::nullopt;
    }
    ++position_;
    const std::size_t first_of_high = result_.nodes.size();
    const Maybe high = argument(end);
    const bool is_infinite =
        std::any_of(result_.nodes.begin() + static_cast<std::ptrdiff_t>(first_of_high),
                    result_.nodes.end(),
                    [](const Node& node) {
                        return node.operation == Operation::symbol && node.name == "infty";
                    });
    if (!high || is_infinite) {
        return std::nullopt;
    }
    const std::size_t stop = term_end(end);
    auto body = Parser(Tokens(tokens_).subspan(position_, stop - position_), true).run();
    if (!body) {
        return std::nullopt;
    }
    position_ = stop;
    // A name of its own: i is no imaginary unit in here.
    const std::string name = "sum over " + variable;
    for (Node& node : body->nodes) {
        node.name = node.operation == Operation::symbol && node.name == variable ? name : node.name;
    }
    result_.has_long_decimal |= body->has_long_decimal;
    return add({.operation = operation,
                .name = name,
                .left = *low,
                .right = *high,
                .body = std::make_shared<const Expression>(std::move(*body))});
}

Parser::Maybe Parser::root(std::size_t end) {
    Index index = number(Rational(2));
    if (next_is(end, "[")) {
        const std::size_t close = closing(position_, end);
        ++position_;
        const Maybe value = enclosed(close, end);
        if (!value) {
            return std::nullopt;
        }
        index = *value;
    }
    const Maybe radicand = has(end) ? base(end) : std::nullopt;
    return radicand ? Maybe(binary(Operation::root, *radicand, index)) : std::nullopt;
}

Parser::Maybe Parser::rounding(const std::string& name, std::size_t end) {
    const std::string_view closer = name == "lfloor" ? "rfloor" : "rceil";
    std::size_t close = position_;
    while (close < end && !tokens_[close].is_command(closer)) {
        ++close;
    }
    const Maybe value = enclosed(close, end);
    return value ? Maybe(named(Operation::function, name, *value)) : std::nullopt;
}

Parser::Maybe Parser::function(const std::string& name, std::size_t end) {
    Maybe base_of_logarithm;
    Maybe exponent;
    bool is_inverse = false;
    while (has(end) && (next().is_symbol("_") || next().is_symbol("^"))) {
        const bool is_power = next().is_symbol("^");
        ++position_;
        const std::size_t before = position_;
        const Maybe value = argument(end);
        if (!value) {
            return std::nullopt;
        }
        if (is_power && is_minus_one(before)) {
            is_inverse = true;
        } else {
            (is_power ? exponent : base_of_logarithm) = value;
        }
    }
    const Maybe operand = function_argument(end);
    if (!operand) {
        return std::nullopt;
    }
    Index value = 0;
    if (base_of_logarithm) {
        value = binary(Operation::logarithm, *operand, *base_of_logarithm);
    } else {
        value = named(Operation::function, is_inverse ? "arc" + name : name, *operand);
    }
    return exponent ? binary(Operation::power, value, *exponent) : value;
}

bool Parser::is_minus_one(std::size_t at) const {
    std::string text;
    for (; at < position_; ++at) {
        text += tokens_[at].text;
    }
    return text == "{-1}" || text == "-1";
}

Parser::Maybe Parser::function_argument(std::size_t end) {
    if (next_is(end, "(") || next_is(end, "{")) {
        Maybe value = base(end);
        if (value && next_is(end, "^")) {
            ++position_;
            value = raised(*value, end);
        }
        return value;
    }
    Maybe value = signed_factor(end);
    while (value && has(end) && starts_factor(next()) && !next().is_symbol("(") &&
           !(next().kind == TokenKind::command && contains(functions, next().text))) {
        const Maybe right = factor(end);
        value = right ? Maybe(binary(Operation::multiply, *value, *right)) : std::nullopt;
    }
    return value;
}

}  // namespace anamnesis::eval::grading
