// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "grading/tokens.hpp"

namespace anamnesis::eval::grading {

/// Reads the number at `position`, which is then passed: separators of thousands are taken out
/// ("1,234", "1.234.567", "1'234'567", "12,34,567"), "1.234.567,89" has a decimal comma, and a
/// repeating decimal (0.1\overline{6}, 0.1\dot{6}, 0.1(6), 0.1666\ldots) becomes "0.1(6)".
/// `text` has a digit, or a point before one, at `position`.
std::string lex_number(std::string_view text, std::size_t& position, Commas commas);

}  // namespace anamnesis::eval::grading
