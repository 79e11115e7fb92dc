// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

#include <gmpxx.h>

namespace anamnesis::eval::grading {

/// Exact, always in lowest terms. Operations that could grow without bound are below and refuse.
using Rational = mpq_class;

/// Numbers above this many bits (numerator and denominator together) are not worth their time.
constexpr std::size_t largest_bits = 16'384;

std::size_t count_bits(const Rational& value);

/// The value of "12", "0.5", ".5", "6.72e-5" or "0.1(6)", the brackets holding what repeats.
/// Empty for anything else, or beyond the limit of size.
std::optional<Rational> read_decimal(std::string_view text);

/// base ^ exponent; empty for 0 to a negative power, or beyond the limit of size.
std::optional<Rational> integer_power(const Rational& base, const mpz_class& exponent);

/// The real n-th root, where it is rational; n > 0.
std::optional<Rational> exact_root(const Rational& value, unsigned long n);

}  // namespace anamnesis::eval::grading
