// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace anamnesis::eval::grading {

/// The next dollar sign that is not "\$"; npos for none.
std::size_t find_dollar(std::string_view text, std::size_t from);

/// Money as "\$", so that every "$" left delimits a formula.
std::string with_money_escaped(std::string_view line);

/// The same of an answer alone: a sign at both its ends delimits a formula, and one after an amount
/// is money as well ("5$").
std::string with_money_escaped_in_answer(std::string_view answer);

}  // namespace anamnesis::eval::grading
