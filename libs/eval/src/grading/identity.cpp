// SPDX-License-Identifier: Apache-2.0
#include "grading/identity.hpp"

#include <algorithm>
#include <cmath>
#include <complex>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "anamnesis/base/random.hpp"

#include "grading/evaluation.hpp"
#include "grading/expression.hpp"
#include "grading/rational.hpp"

namespace anamnesis::eval::grading {
namespace {

constexpr std::uint64_t seed = 0x9E3779B97F4A7C15ULL;
constexpr int point_count = 8;
constexpr int enough_points = 3;
// 64-bit mantissas leave 1e-19; functions and cancellation cost some of it.
constexpr long double relative_tolerance = 1e-14L;
constexpr long double scale_tolerance = 1e-16L;

/// The first half positive, since many answers hold there alone; the same name has the same value
/// in both expressions.
Point make_point(const std::vector<std::string>& names, int index, bool is_whole) {
    Point point;
    for (const std::string& name : names) {
        std::uint64_t hash = seed + static_cast<std::uint64_t>(index);
        for (const char c : name) {
            hash = Random(hash ^ static_cast<unsigned char>(c)).next();
        }
        Random random(hash);
        Rational value(static_cast<long>(3 + random.below(40)),
                       static_cast<long>(7 + 2 * random.below(9)));
        value.canonicalize();
        if (is_whole) {
            value = static_cast<long>(1 + random.below(24));  // sums run to whole numbers
        }
        if (!is_whole && index >= point_count / 2 && random.below(2) == 0) {
            value = -value;
        }
        point.emplace(name, value);
    }
    return point;
}

std::vector<std::string> list_variables(const Expression& first, const Expression& second) {
    std::vector<std::string> names = first.variables();
    for (const std::string& name : second.variables()) {
        if (std::ranges::find(names, name) == names.end()) {
            names.push_back(name);
        }
    }
    return names;
}

bool is_finite(const std::complex<long double>& value) {
    return std::isfinite(value.real()) && std::isfinite(value.imag());
}

/// The values at one point: same, different, or nothing to be learnt.
std::optional<bool> same_at(const Expression& gold,
                            const Expression& answer,
                            const Point& point,
                            const SignReading& reading) {
    const auto exact_gold = evaluate_exactly(gold, point, reading);
    const auto exact_answer = evaluate_exactly(answer, point, reading);
    if (exact_gold && exact_answer) {
        return *exact_gold == *exact_answer;
    }
    if (point.empty() &&
        ((exact_gold && gold.has_long_decimal) || (exact_answer && answer.has_long_decimal))) {
        return false;
    }
    const NumericValue left = evaluate(gold, point, reading);
    const NumericValue right = evaluate(answer, point, reading);
    if (!is_finite(left.value)) {
        return std::nullopt;
    }
    const long double scale = std::max(left.scale, right.scale);
    const bool is_complex = std::abs(left.value.imag()) > 1e-12L * std::abs(left.value);
    if (is_complex && !point.empty() && !gold.uses_symbol("i")) {
        return std::nullopt;
    }
    if (!is_finite(right.value)) {
        // Factorials are defined at fewer points than the polynomials they stand for.
        const bool says_nothing =
            point.empty() || answer.uses(Operation::factorial) || answer.uses_sum();
        return says_nothing ? std::nullopt : std::optional(false);
    }
    const long double tolerance =
        relative_tolerance * std::max(std::abs(left.value), std::abs(right.value)) +
        scale_tolerance * scale;
    if (!std::isfinite(tolerance)) {
        return std::nullopt;
    }
    return std::abs(left.value - right.value) <= tolerance;
}

Sameness compare_reading(const Expression& gold,
                         const Expression& answer,
                         const SignReading& reading) {
    const std::vector<std::string> names = list_variables(gold, answer);
    if (names.empty()) {
        const auto same = same_at(gold, answer, {}, reading);
        return !same ? Sameness::undecided : *same ? Sameness::same : Sameness::different;
    }
    int agreed = 0;
    const bool is_whole = gold.uses_sum() || answer.uses_sum();
    for (int i = 0; i < point_count; ++i) {
        const auto same = same_at(gold, answer, make_point(names, i, is_whole), reading);
        if (same && !*same) {
            return Sameness::different;
        }
        agreed += same ? 1 : 0;
    }
    return agreed >= enough_points ? Sameness::same : Sameness::undecided;
}

}  // namespace

Sameness compare_expressions(const Expression& gold,
                             const Expression& answer,
                             const SignRules& rules) {
    Sameness result = Sameness::different;
    for (const bool degree_is_factor : {true, false}) {
        for (const bool percent_is_factor : {true, false}) {
            if ((!degree_is_factor && !rules.degree_may_be_missing) ||
                (!percent_is_factor && !rules.percent_may_be_missing)) {
                continue;
            }
            const Sameness reading = compare_reading(
                gold,
                answer,
                {.degree_is_factor = degree_is_factor, .percent_is_factor = percent_is_factor});
            if (reading == Sameness::same) {
                return reading;
            }
            result = reading == Sameness::undecided ? reading : result;
        }
    }
    return result;
}

Sameness compare_equations(const Expression& gold, const Expression& answer) {
    const std::vector<std::string> names = list_variables(gold, answer);
    std::optional<std::complex<long double>> ratio;
    int agreed = 0;
    for (int i = 0; i < point_count; ++i) {
        const Point point = make_point(names, i, false);
        const auto left = evaluate(gold, point, {}).value;
        const auto right = evaluate(answer, point, {}).value;
        if (!is_finite(left) || !is_finite(right)) {
            continue;
        }
        if (std::abs(left) < 1e-9L || std::abs(right) < 1e-9L) {
            if (std::abs(left) < 1e-9L && std::abs(right) < 1e-9L) {
                continue;
            }
            return Sameness::different;
        }
        const auto here = left / right;
        if (ratio && std::abs(here - *ratio) > 1e-12L * std::abs(*ratio)) {
            return Sameness::different;
        }
        ratio = here;
        ++agreed;
    }
    return agreed >= enough_points ? Sameness::same : Sameness::undecided;
}

long double real_value(const Expression& expression) {
    constexpr long double none = std::numeric_limits<long double>::quiet_NaN();
    if (!expression.variables().empty()) {
        return none;
    }
    const auto value = evaluate(expression, {}, {}).value;
    return std::abs(value.imag()) > 1e-15L * std::abs(value) ? none : value.real();
}

}  // namespace anamnesis::eval::grading
