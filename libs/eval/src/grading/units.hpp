// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "grading/rational.hpp"

namespace anamnesis::eval::grading {

/// What comes after (or, for money, before) a number.
struct Unit {
    std::string words{};      ///< as it was written, singular and lower case; empty for none
    std::string dimension{};  ///< "length^2", "money"; empty where the words are no known unit
    Rational factor = 1;      ///< to the first unit of its dimension
    bool is_radian = false;   ///< radians were named; `words` is empty then
};

/// "square inches", "cm^2", "miles per hour", "mph", "cents", "people".
Unit parse_unit(const std::vector<std::string>& words);

/// True where a word names a unit, so that "5 cm" without \text is no product.
bool is_unit_word(std::string_view word);

/// The ratio of two units where they measure the same thing: 1/100 for cents against dollars.
/// A missing unit fits every other. Empty where they do not fit.
std::optional<Rational> conversion(const Unit& from, const Unit& to);

}  // namespace anamnesis::eval::grading
