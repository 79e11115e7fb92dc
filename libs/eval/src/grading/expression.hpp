// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "grading/rational.hpp"
#include "grading/tokens.hpp"

namespace anamnesis::eval::grading {

enum class Operation : std::uint8_t {
    number,
    symbol,  ///< a variable, or one of the constants pi, e and i
    add,
    multiply,
    divide,
    power,
    root,  ///< left: the radicand, right: the index
    negate,
    factorial,
    binomial,
    degree,     ///< times pi/180, or times 1 where the sign is read as a unit
    percent,    ///< times 1/100, or times 1
    logarithm,  ///< left: the argument, right: the base
    function,   ///< of one argument, by name
    sum,        ///< of `body` over `name` from left to right
    product,    ///< the same
};

struct Expression;

struct Node {
    Operation operation = Operation::number;
    Rational value{};
    std::string name{};
    std::uint32_t left = 0;
    std::uint32_t right = 0;
    std::shared_ptr<const Expression> body{};  ///< sum, product; holds no sum itself
};

/// A tree in the order of evaluation: children come before their parents, the root is last.
struct Expression {
    std::vector<Node> nodes;
    bool has_long_decimal = false;  ///< some number was written with six or more decimals

    bool uses(Operation operation) const;
    bool uses_symbol(std::string_view name) const;
    bool uses_sum() const { return uses(Operation::sum) || uses(Operation::product); }
    /// Names of variables, sorted, each once; without those that sums run over.
    std::vector<std::string> variables() const;
};

/// pi, e and i. Infinity compares as a variable does.
bool is_constant_name(std::string_view name);

/// Reads all tokens as one expression; empty where they are none, or nest deeper than 60.
/// Cost: linear in the tokens.
std::optional<Expression> parse_expression(Tokens tokens);

}  // namespace anamnesis::eval::grading
