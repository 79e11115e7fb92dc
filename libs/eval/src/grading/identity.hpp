// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "grading/expression.hpp"

namespace anamnesis::eval::grading {

enum class Sameness : std::uint8_t { same, different, undecided };

/// Where a sign ° or % may be left out.
struct SignRules {
    bool percent_may_be_missing = false;
    bool degree_may_be_missing = false;
};

/// Whether two expressions have the same value wherever the first one is real and defined: exact
/// rational arithmetic at points of a fixed seed where it goes, long double otherwise.
/// A number with six or more decimals is never the same as an irrational one.
Sameness compare_expressions(const Expression& gold,
                             const Expression& answer,
                             const SignRules& rules);

/// Whether `gold` = 0 and `answer` = 0 say the same: one is a constant multiple of the other.
Sameness compare_equations(const Expression& gold, const Expression& answer);

/// The value of an expression without variables that is real; NaN for any other.
long double real_value(const Expression& expression);

}  // namespace anamnesis::eval::grading
