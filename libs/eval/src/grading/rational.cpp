// SPDX-License-Identifier: Apache-2.0
#include "grading/rational.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>

#include <gmpxx.h>

namespace anamnesis::eval::grading {
namespace {

constexpr std::size_t largest_digits = 4'000;

bool is_digits(std::string_view text) {
    return std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
}

mpz_class power_of_ten(std::size_t exponent) {
    mpz_class power;
    mpz_ui_pow_ui(power.get_mpz_t(), 10, exponent);
    return power;
}

}  // namespace

std::size_t count_bits(const Rational& value) {
    return mpz_sizeinbase(value.get_num_mpz_t(), 2) + mpz_sizeinbase(value.get_den_mpz_t(), 2);
}

std::optional<Rational> read_decimal(std::string_view text) {
    if (text.size() > largest_digits) {
        return std::nullopt;
    }
    long exponent = 0;
    if (const std::size_t e = text.find('e'); e != std::string_view::npos) {
        std::string_view digits = text.substr(e + 1);
        const bool is_negative = digits.starts_with('-');
        if (is_negative || digits.starts_with('+')) {
            digits.remove_prefix(1);
        }
        if (digits.empty() || digits.size() > 4 || !is_digits(digits)) {
            return std::nullopt;
        }
        exponent = std::strtol(std::string(digits).c_str(), nullptr, 10) * (is_negative ? -1 : 1);
        text = text.substr(0, e);
    }
    std::string_view repeating;
    if (const std::size_t open = text.find('('); open != std::string_view::npos) {
        if (!text.ends_with(')')) {
            return std::nullopt;
        }
        repeating = text.substr(open + 1, text.size() - open - 2);
        text = text.substr(0, open);
    }
    const std::size_t point = text.find('.');
    const std::string_view whole = text.substr(0, point);
    const std::string_view fraction =
        point == std::string_view::npos ? std::string_view() : text.substr(point + 1);
    if (!is_digits(whole) || !is_digits(fraction) || !is_digits(repeating) ||
        whole.size() + fraction.size() + repeating.size() == 0) {
        return std::nullopt;
    }
    const std::string digits = "0" + std::string(whole) + std::string(fraction);
    Rational value(mpz_class(digits, 10), power_of_ten(fraction.size()));
    value.canonicalize();
    if (!repeating.empty()) {
        Rational rest(mpz_class(std::string(repeating), 10),
                      power_of_ten(fraction.size()) * (power_of_ten(repeating.size()) - 1));
        rest.canonicalize();
        value += rest;
    }
    if (exponent != 0) {
        const Rational scale(power_of_ten(static_cast<std::size_t>(std::labs(exponent))));
        value = exponent > 0 ? Rational(value * scale) : Rational(value / scale);
    }
    return count_bits(value) <= largest_bits ? std::optional(value) : std::nullopt;
}

std::optional<Rational> integer_power(const Rational& base, const mpz_class& exponent) {
    if (base == 0) {
        return exponent > 0    ? std::optional<Rational>(0)
               : exponent == 0 ? std::optional<Rational>(1)
                               : std::nullopt;
    }
    if (base == 1) {
        return Rational(1);
    }
    if (base == -1) {
        return Rational(mpz_even_p(exponent.get_mpz_t()) != 0 ? 1 : -1);
    }
    const mpz_class size = abs(exponent);
    if (!size.fits_uint_p() || size.get_ui() * count_bits(base) > largest_bits) {
        return std::nullopt;
    }
    Rational power;
    mpz_pow_ui(power.get_num_mpz_t(), base.get_num_mpz_t(), size.get_ui());
    mpz_pow_ui(power.get_den_mpz_t(), base.get_den_mpz_t(), size.get_ui());
    return exponent < 0 ? Rational(1 / power) : power;
}

std::optional<Rational> exact_root(const Rational& value, unsigned long n) {
    if (n == 0 || (value < 0 && n % 2 == 0)) {
        return std::nullopt;
    }
    Rational root;
    const bool is_exact = mpz_root(root.get_num_mpz_t(), value.get_num_mpz_t(), n) != 0 &&
                          mpz_root(root.get_den_mpz_t(), value.get_den_mpz_t(), n) != 0;
    return is_exact ? std::optional(root) : std::nullopt;
}

}  // namespace anamnesis::eval::grading
