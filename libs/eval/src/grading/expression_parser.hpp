// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
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

/// Recursive descent over tokens; `end` is the place before which a part must end. Sums, products
/// and factors are in expression_parser.cpp, numbers in number_parser.cpp, commands in
/// command_parser.cpp.
class Parser {
public:
    explicit Parser(Tokens tokens, bool is_inside_sum = false) : is_inside_sum_(is_inside_sum) {
        for (const Token& token : tokens) {
            split_word(token);
        }
    }

    std::optional<Expression> run();

private:
    using Index = std::uint32_t;
    using Maybe = std::optional<Index>;

    /// "ab" in mathematics is a times b.
    void split_word(const Token& token) {
        const bool is_product = token.kind == TokenKind::word && !token.is_text &&
                                token.text.size() <= 3 &&
                                std::ranges::all_of(token.text, is_letter);
        if (!is_product) {
            tokens_.push_back(token);
            return;
        }
        for (const char letter : token.text) {
            tokens_.push_back({TokenKind::letter, std::string(1, letter), false, false});
        }
    }
    Index add(Node node) {
        result_.nodes.push_back(std::move(node));
        return static_cast<Index>(result_.nodes.size() - 1);
    }
    Index binary(Operation operation, Index left, Index right) {
        return add({.operation = operation, .left = left, .right = right});
    }
    Index unary(Operation operation, Index operand) { return binary(operation, operand, operand); }
    Index named(Operation operation, std::string name, Index operand = 0) {
        return add({.operation = operation, .name = std::move(name), .left = operand});
    }
    Index number(Rational value) { return add({.value = std::move(value)}); }
    bool has(std::size_t end) const { return position_ < end; }
    const Token& next() const { return tokens_[position_]; }
    bool next_is(std::size_t end, std::string_view symbol) const {
        return has(end) && next().is_symbol(symbol);
    }
    Maybe sum(std::size_t end);
    static bool is_times(const Token& token);
    static bool is_divided(const Token& token);
    Maybe product(std::size_t end);
    /// A sign may follow "·" and "/": "3 \cdot -2".
    Maybe signed_factor(std::size_t end);
    /// Two numbers side by side are no product.
    static bool starts_factor(const Token& token);
    Maybe factor(std::size_t end);
    /// What comes after "^": a degree sign, or an exponent.
    Maybe raised(Index value, std::size_t end);
    /// One argument of a command or of "^": a group, or the next token with what binds to it.
    Maybe argument(std::size_t end);
    /// An argument of \frac: of "\frac12" the first digit alone.
    Maybe digit_argument(std::size_t end);
    /// The position after the group that opens at `open`; `end` where it does not close.
    std::size_t closing(std::size_t open, std::size_t end) const;
    /// The content up to `close`, which is then passed.
    Maybe enclosed(std::size_t close, std::size_t end);
    /// {14 \over 3} and {n \choose k}.
    Maybe fraction_or_sum(std::size_t end);
    Maybe base(std::size_t end);
    Maybe parse_base(std::size_t end);
    /// |x|, from the first bar to the next at the same level.
    Maybe absolute(std::size_t end);
    bool is_whole(std::size_t at, std::size_t end) const;
    Maybe literal(std::size_t end);
    /// The fraction of 5\frac12 or "5 1/2", which is then passed; a proper one of two integers.
    std::optional<Rational> mixed_part(std::size_t end);
    /// The digits of an argument; what is left of "12" in \frac12 goes to `rest`.
    std::string integer_argument(std::size_t& at, std::size_t end, std::string& rest) const;
    /// "_1", "_{n+1}" and primes as part of a name.
    std::string subscript(std::size_t end);
    Maybe command(const std::string& name, std::size_t end);
    /// \sum_{k=1}^{n} of the term that follows; no sum of sums.
    Maybe sum_over(Operation operation, std::size_t end);
    /// The place after the term at the current place: before the next sign at its level.
    std::size_t term_end(std::size_t end) const;
    Maybe root(std::size_t end);
    Maybe rounding(const std::string& name, std::size_t end);
    /// "\sin^2 x", "\log_2 8", "\sin 2x \cos x".
    Maybe function(const std::string& name, std::size_t end);
    bool is_minus_one(std::size_t at) const;
    Maybe function_argument(std::size_t end);

    std::vector<Token> tokens_;
    std::size_t position_ = 0;
    int depth_ = 0;
    bool is_inside_sum_ = false;
    Expression result_;
};

}  // namespace anamnesis::eval::grading
