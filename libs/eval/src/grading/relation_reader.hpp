// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <optional>

#include "grading/tokens.hpp"
#include "grading/value.hpp"

namespace anamnesis::eval::grading {

/// How a part of an answer is read.
using ValueReading = std::function<std::optional<Value>(Tokens)>;

/// True where =, <, ∈, ≈ or the like occurs outside all brackets.
bool has_relation(Tokens tokens);

/// Equations, chains of equalities, inequalities, "x ∈ …", approximations.
std::optional<Value> read_relation(Tokens tokens, const ValueReading& read);

/// One matrix, perhaps with a factor before it.
std::optional<Value> read_matrix(Tokens tokens, const ValueReading& read);

}  // namespace anamnesis::eval::grading
