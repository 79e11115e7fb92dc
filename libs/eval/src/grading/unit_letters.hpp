// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "grading/tokens.hpp"
#include "grading/value.hpp"

namespace anamnesis::eval::grading {

/// An answer in which letters that can be units are read as units.
struct UnitReading {
    std::vector<Token> tokens{};
    bool has_upright = false;  ///< of \mathrm{…} or the like: "5\,\mathrm{m}"
    bool has_plain = false;    ///< which may be variables as well: "5 m"

    bool has_units() const { return has_upright || has_plain; }
};

/// A letter can be a unit after a number, at the end of an answer or of a part of a list, with
/// nothing but units, powers and "/" after it: "5 m", "18\,\mathrm{m/s^2}". A plain one cannot
/// where other letters are variables ("5x + 3m"), and none beside a sign of a currency
/// ("\$5\,\mathrm{K}").
UnitReading read_unit_letters(Tokens tokens);

/// Whether every amount of a value names its unit.
bool all_have_units(const Value& value);

}  // namespace anamnesis::eval::grading
