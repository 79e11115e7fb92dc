// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <complex>
#include <map>
#include <optional>
#include <string>

#include "grading/expression.hpp"
#include "grading/rational.hpp"

namespace anamnesis::eval::grading {

/// How the signs ° and % are read: as factors, or as units that may be left out.
struct SignReading {
    bool degree_is_factor = true;
    bool percent_is_factor = true;
};

/// A complex number with rational parts.
struct ExactComplex {
    Rational real;
    Rational imaginary;
    friend bool operator==(const ExactComplex&, const ExactComplex&) = default;
};

struct NumericValue {
    std::complex<long double> value{};
    long double scale = 0.0L;  ///< the largest magnitude met on the way, for cancellation
};

/// Values of the variables.
using Point = std::map<std::string, Rational>;

/// The exact value; empty where it is irrational, undefined, or too large to hold.
std::optional<ExactComplex> evaluate_exactly(const Expression& expression,
                                             const Point& point,
                                             const SignReading& reading);

/// The value in long double arithmetic; may be infinite or NaN.
NumericValue evaluate(const Expression& expression, const Point& point, const SignReading& reading);

/// How many terms a sum from `low` to `high` has, none for an empty one; nothing where that is not
/// known or would take too long.
std::optional<long> count_terms(const Node& node, const Rational& low, const Rational& high);

}  // namespace anamnesis::eval::grading
