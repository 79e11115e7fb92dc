// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <complex>
#include <cstddef>
#include <cstdlib>
#include <limits>
#include <numbers>
#include <string>
#include <vector>

#include <gmpxx.h>

#include "grading/evaluation.hpp"
#include "grading/expression.hpp"
#include "grading/rational.hpp"

namespace anamnesis::eval::grading {
namespace {

using Complex = std::complex<long double>;

constexpr long double pi = std::numbers::pi_v<long double>;
constexpr long double not_a_number = std::numeric_limits<long double>::quiet_NaN();

/// All 64 bits: GMP's own conversion goes to double.
long double to_long_double(const Rational& value) {
    const mpz_class& numerator = value.get_num();
    const mpz_class& denominator = value.get_den();
    const long shift = 70 - static_cast<long>(mpz_sizeinbase(numerator.get_mpz_t(), 2)) +
                       static_cast<long>(mpz_sizeinbase(denominator.get_mpz_t(), 2));
    mpz_class scaled = abs(numerator);
    mpz_class divisor = denominator;
    (shift >= 0 ? scaled : divisor) <<= static_cast<unsigned long>(std::labs(shift));
    const mpz_class quotient = scaled / divisor;
    const mpz_class high = quotient >> 32;
    const mpz_class low = quotient & 0xFFFFFFFFUL;
    const long double magnitude = std::ldexp(static_cast<long double>(high.get_ui()), 32) +
                                  static_cast<long double>(low.get_ui());
    return std::ldexp(sgn(value) < 0 ? -magnitude : magnitude, -static_cast<int>(shift));
}

Complex symbol(const std::string& name, const Point& point) {
    if (name == "pi") {
        return pi;
    }
    if (name == "e") {
        return std::numbers::e_v<long double>;
    }
    if (name == "i") {
        return {0.0L, 1.0L};
    }
    const auto found = point.find(name);
    return found == point.end() ? not_a_number : to_long_double(found->second);
}

bool is_real(const Complex& value) {
    return value.imag() == 0.0L;
}

Complex power(const Complex& base, const Complex& exponent) {
    if (base == 0.0L) {
        return exponent.real() > 0 ? 0.0L : exponent == 0.0L ? 1.0L : not_a_number;
    }
    const bool is_whole = is_real(exponent) && std::trunc(exponent.real()) == exponent.real();
    if (is_real(base) && is_real(exponent) && (is_whole || base.real() > 0)) {
        return std::pow(base.real(), exponent.real());
    }
    return std::pow(base, exponent);
}

/// Odd roots of negative numbers are the real ones.
Complex root(const Complex& radicand, const Complex& index) {
    const long double n = index.real();
    if (is_real(radicand) && radicand.real() < 0 && std::fmod(n, 2.0L) == 1.0L) {
        return -std::pow(-radicand.real(), 1.0L / n);
    }
    return n == 2.0L ? std::sqrt(radicand) : power(radicand, 1.0L / index);
}

Complex logarithm(const Complex& x) {
    return is_real(x) && x.real() > 0 ? Complex(std::log(x.real())) : std::log(x);
}

Complex real_function(const std::string& name, long double x) {
    if (name == "lfloor") {
        return std::floor(x);
    }
    if (name == "lceil") {
        return std::ceil(x);
    }
    if (name == "arctan") {
        return std::atan(x);
    }
    if (name == "arccot") {
        return pi / 2 - std::atan(x);
    }
    if (name == "arcsin") {
        return std::asin(x);
    }
    return name == "arccos" ? std::acos(x) : not_a_number;
}

Complex function(const std::string& name, const Complex& x) {
    if (name == "abs") {
        return std::abs(x);
    }
    if (name == "sin") {
        return std::sin(x);
    }
    if (name == "cos") {
        return std::cos(x);
    }
    if (name == "tan") {
        return std::sin(x) / std::cos(x);
    }
    if (name == "cot") {
        return std::cos(x) / std::sin(x);
    }
    if (name == "sec") {
        return 1.0L / std::cos(x);
    }
    if (name == "csc") {
        return 1.0L / std::sin(x);
    }
    if (name == "sinh") {
        return std::sinh(x);
    }
    if (name == "cosh") {
        return std::cosh(x);
    }
    if (name == "tanh") {
        return std::tanh(x);
    }
    if (name == "exp") {
        return std::exp(x);
    }
    // "log" without a base is the natural one in most of mathematics, the decimal one in school
    // books; both sides of a comparison read it alike.
    if (name == "ln" || name == "log") {
        return logarithm(x);
    }
    if (name == "lg") {
        return logarithm(x) / std::log(10.0L);
    }
    return is_real(x) ? real_function(name, x.real()) : not_a_number;
}

Complex factorial(const Complex& n) {
    return is_real(n) && n.real() > -1 && n.real() < 1'000 ? std::exp(std::lgamma(n.real() + 1))
                                                           : not_a_number;
}

Complex evaluate_node(const Node& node,
                      const Complex& left,
                      const Complex& right,
                      const SignReading& reading) {
    switch (node.operation) {
        case Operation::add:
            return left + right;
        case Operation::multiply:
            return left * right;
        case Operation::divide:
            return right == 0.0L ? Complex(not_a_number) : left / right;
        case Operation::negate:
            return -left;
        case Operation::power:
            return power(left, right);
        case Operation::root:
            return root(left, right);
        case Operation::factorial:
            return factorial(left);
        case Operation::binomial:
            return factorial(left) / (factorial(right) * factorial(left - right));
        case Operation::degree:
            return reading.degree_is_factor ? left * pi / 180.0L : left;
        case Operation::percent:
            return reading.percent_is_factor ? left / 100.0L : left;
        case Operation::logarithm:
            return logarithm(left) / logarithm(right);
        case Operation::function:
            return function(node.name, left);
        case Operation::sum:
        case Operation::product:
        case Operation::number:
        case Operation::symbol:
            break;
    }
    return not_a_number;
}

/// Bounds that are not whole numbers give no value.
Complex sum_over(const Node& node,
                 const Complex& low,
                 const Complex& high,
                 const Point& point,
                 const SignReading& reading) {
    constexpr long double largest = 1e6L;
    const auto is_whole = [](const Complex& bound) {
        return is_real(bound) && std::abs(bound.real()) < largest &&
               std::trunc(bound.real()) == bound.real();
    };
    if (!is_whole(low) || !is_whole(high)) {
        return not_a_number;
    }
    const auto first = static_cast<long>(low.real());
    const auto terms = count_terms(node, first, static_cast<long>(high.real()));
    const bool is_sum = node.operation == Operation::sum;
    Complex total = !terms ? not_a_number : is_sum ? 0.0L : 1.0L;
    Point inside = point;
    for (long i = 0; terms && i < *terms; ++i) {
        inside[node.name] = first + i;
        const Complex term = evaluate(*node.body, inside, reading).value;
        total = is_sum ? total + term : total * term;
    }
    return total;
}

}  // namespace

NumericValue evaluate(const Expression& expression,
                      const Point& point,
                      const SignReading& reading) {
    std::vector<Complex> values(expression.nodes.size());
    NumericValue result{.value = not_a_number};
    for (std::size_t i = 0; i < values.size(); ++i) {
        const Node& node = expression.nodes[i];
        if (node.operation == Operation::number) {
            values[i] = to_long_double(node.value);
        } else if (node.operation == Operation::symbol) {
            values[i] = symbol(node.name, point);
        } else if (node.body) {
            values[i] = sum_over(node, values[node.left], values[node.right], point, reading);
        } else {
            values[i] = evaluate_node(node, values[node.left], values[node.right], reading);
        }
        result.scale = std::max(result.scale, std::abs(values[i]));
        result.value = values[i];
    }
    return result;
}

}  // namespace anamnesis::eval::grading
