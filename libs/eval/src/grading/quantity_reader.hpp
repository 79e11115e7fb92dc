// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>

#include "grading/tokens.hpp"
#include "grading/value.hpp"

namespace anamnesis::eval::grading {

/// An expression with what surrounds it: words before it, money, a unit, a base.
std::optional<Value> read_quantity(Tokens tokens);

/// "\$", "€" and their like.
bool is_currency_sign(const Token& token);

/// Without words and signs of approximation before the value; empty where a word negates or
/// compares.
std::optional<Tokens> without_lead(Tokens tokens);

}  // namespace anamnesis::eval::grading
