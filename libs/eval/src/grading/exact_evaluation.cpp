// SPDX-License-Identifier: Apache-2.0
#include <cstddef>
#include <cstdlib>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <gmpxx.h>

#include "grading/evaluation.hpp"
#include "grading/expression.hpp"
#include "grading/rational.hpp"

namespace anamnesis::eval::grading {
namespace {

using Maybe = std::optional<ExactComplex>;

constexpr unsigned largest_factorial = 1'000;

Maybe real(std::optional<Rational> value) {
    return value ? Maybe(ExactComplex{std::move(*value), 0}) : std::nullopt;
}

Maybe checked(ExactComplex value) {
    return count_bits(value.real) + count_bits(value.imaginary) <= largest_bits
               ? Maybe(std::move(value))
               : std::nullopt;
}

bool is_real(const ExactComplex& value) {
    return value.imaginary == 0;
}

bool is_integer(const ExactComplex& value) {
    return is_real(value) && value.real.get_den() == 1;
}

ExactComplex product(const ExactComplex& a, const ExactComplex& b) {
    return {a.real * b.real - a.imaginary * b.imaginary,
            a.real * b.imaginary + a.imaginary * b.real};
}

Maybe quotient(const ExactComplex& a, const ExactComplex& b) {
    const Rational norm = b.real * b.real + b.imaginary * b.imaginary;
    if (norm == 0) {
        return std::nullopt;
    }
    ExactComplex result = product(a, {b.real, -b.imaginary});
    result.real /= norm;
    result.imaginary /= norm;
    return checked(std::move(result));
}

/// Small powers of numbers that are not real, by repeated multiplication.
Maybe complex_power(const ExactComplex& base, long exponent) {
    ExactComplex power{1, 0};
    for (long i = 0; i < std::labs(exponent); ++i) {
        power = product(power, base);
        if (count_bits(power.real) + count_bits(power.imaginary) > largest_bits) {
            return std::nullopt;
        }
    }
    return exponent < 0 ? quotient({1, 0}, power) : Maybe(power);
}

Maybe power(const ExactComplex& base, const ExactComplex& exponent) {
    if (!is_real(exponent)) {
        return std::nullopt;
    }
    if (!is_real(base)) {
        return is_integer(exponent) && abs(exponent.real) <= 64
                   ? complex_power(base, exponent.real.get_num().get_si())
                   : std::nullopt;
    }
    const mpz_class& denominator = exponent.real.get_den();
    if (denominator == 1) {
        return real(integer_power(base.real, exponent.real.get_num()));
    }
    // A principal root of a negative number is not real.
    if (base.real < 0 || denominator > 64) {
        return std::nullopt;
    }
    const auto root = exact_root(base.real, denominator.get_ui());
    return root ? real(integer_power(*root, exponent.real.get_num())) : std::nullopt;
}

Maybe root(const ExactComplex& radicand, const ExactComplex& index) {
    if (!is_real(radicand) || !is_integer(index) || index.real < 1 || index.real > 64) {
        return std::nullopt;
    }
    if (radicand.real < 0 && index.real == 2) {
        const auto positive = exact_root(-radicand.real, 2);
        return positive ? Maybe(ExactComplex{0, *positive}) : std::nullopt;
    }
    return real(exact_root(radicand.real, index.real.get_num().get_ui()));
}

Maybe factorial(const ExactComplex& value) {
    if (!is_integer(value) || value.real < 0 || value.real > largest_factorial) {
        return std::nullopt;
    }
    mpz_class result;
    mpz_fac_ui(result.get_mpz_t(), value.real.get_num().get_ui());
    return real(Rational(result));
}

/// n (n-1) … (n-k+1) / k! for any n.
Maybe falling_binomial(const Rational& n, unsigned long k) {
    Rational result = 1;
    for (unsigned long i = 0; i < k; ++i) {
        result *= (n - i) / Rational(i + 1);
        if (count_bits(result) > largest_bits) {
            return std::nullopt;
        }
    }
    return real(result);
}

Maybe binomial(const ExactComplex& n, const ExactComplex& k) {
    if (!is_real(n) || !is_integer(k) || k.real < 0 || k.real > largest_factorial) {
        return std::nullopt;
    }
    if (!is_integer(n) || n.real < 0) {
        return k.real <= 64 ? falling_binomial(n.real, k.real.get_num().get_ui()) : std::nullopt;
    }
    if (n.real > 1'000'000) {
        return std::nullopt;
    }
    mpz_class result;
    mpz_bin_ui(result.get_mpz_t(), n.real.get_num_mpz_t(), k.real.get_num().get_ui());
    return count_bits(Rational(result)) <= largest_bits ? real(Rational(result)) : std::nullopt;
}

Maybe function(const std::string& name, const ExactComplex& x) {
    if (!is_real(x)) {
        return std::nullopt;
    }
    if (name == "abs") {
        return real(Rational(abs(x.real)));
    }
    mpz_class rounded;
    if (name == "lfloor") {
        mpz_fdiv_q(rounded.get_mpz_t(), x.real.get_num_mpz_t(), x.real.get_den_mpz_t());
        return real(Rational(rounded));
    }
    if (name == "lceil") {
        mpz_cdiv_q(rounded.get_mpz_t(), x.real.get_num_mpz_t(), x.real.get_den_mpz_t());
        return real(Rational(rounded));
    }
    return std::nullopt;
}

Maybe symbol(const std::string& name, const Point& point) {
    if (name == "i") {
        return ExactComplex{0, 1};
    }
    const auto found = point.find(name);
    return found == point.end() ? std::nullopt : real(found->second);
}

Maybe sum_over(const Node& node,
               const Maybe& low,
               const Maybe& high,
               const Point& point,
               const SignReading& reading) {
    if (!low || !high || !is_real(*low) || !is_real(*high)) {
        return std::nullopt;
    }
    const auto terms = count_terms(node, low->real, high->real);
    const bool is_sum = node.operation == Operation::sum;
    Maybe total = terms ? Maybe(ExactComplex{is_sum ? 0 : 1, 0}) : std::nullopt;
    Point inside = point;
    for (long i = 0; total && i < *terms; ++i) {
        inside[node.name] = low->real + i;
        const Maybe term = evaluate_exactly(*node.body, inside, reading);
        total = !term    ? std::nullopt
                : is_sum ? checked({total->real + term->real, total->imaginary + term->imaginary})
                         : checked(product(*total, *term));
    }
    return total;
}

Maybe evaluate_node(const Node& node,
                    const Maybe& left,
                    const Maybe& right,
                    const Point& point,
                    const SignReading& reading) {
    switch (node.operation) {
        case Operation::number:
            return real(node.value);
        case Operation::symbol:
            return symbol(node.name, point);
        default:
            break;
    }
    if (!left || !right) {
        return std::nullopt;
    }
    switch (node.operation) {
        case Operation::add:
            return checked({left->real + right->real, left->imaginary + right->imaginary});
        case Operation::multiply:
            return checked(product(*left, *right));
        case Operation::divide:
            return quotient(*left, *right);
        case Operation::negate:
            return ExactComplex{-left->real, -left->imaginary};
        case Operation::power:
            return power(*left, *right);
        case Operation::root:
            return root(*left, *right);
        case Operation::factorial:
            return factorial(*left);
        case Operation::binomial:
            return binomial(*left, *right);
        case Operation::degree:
            return reading.degree_is_factor && *left != ExactComplex{0, 0} ? std::nullopt : left;
        case Operation::percent:
            return reading.percent_is_factor ? quotient(*left, {100, 0}) : left;
        case Operation::function:
            return function(node.name, *left);
        case Operation::sum:
        case Operation::product:
            return sum_over(node, left, right, point, reading);
        case Operation::logarithm:
        case Operation::number:
        case Operation::symbol:
            break;
    }
    return std::nullopt;
}

}  // namespace

std::optional<long> count_terms(const Node& node, const Rational& low, const Rational& high) {
    constexpr long most_nodes = 4'000;
    const Rational count = high - low + 1;
    if (low.get_den() != 1 || high.get_den() != 1 || count > most_nodes) {
        return std::nullopt;
    }
    const long terms = count < 0 ? 0 : count.get_num().get_si();
    const long size = static_cast<long>(node.body->nodes.size());
    return terms * size <= most_nodes ? std::optional(terms) : std::nullopt;
}

std::optional<ExactComplex> evaluate_exactly(const Expression& expression,
                                             const Point& point,
                                             const SignReading& reading) {
    std::vector<Maybe> values(expression.nodes.size());
    for (std::size_t i = 0; i < values.size(); ++i) {
        const Node& node = expression.nodes[i];
        values[i] = evaluate_node(node, values[node.left], values[node.right], point, reading);
    }
    return values.empty() ? std::nullopt : std::move(values.back());
}

}  // namespace anamnesis::eval::grading
