// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>

#include "grading/tokens.hpp"
#include "grading/value.hpp"

namespace anamnesis::eval::grading {

/// "3 hours 30 minutes", "5 dollars and 50 cents", "5 feet, 6 inches": amounts of the same kind,
/// each in a smaller unit than the one before, as one quantity in the first unit.
std::optional<Value> read_compound(Tokens tokens);

}  // namespace anamnesis::eval::grading
