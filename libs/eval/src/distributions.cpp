// SPDX-License-Identifier: Apache-2.0
#include "distributions.hpp"

#include <cmath>
#include <numbers>

namespace anamnesis::eval {
namespace {

/// log Gamma for x > 0 without the C library's shared sign.
/// Source: Stirling's series after shifting x above 10; DLMF 5.11.1.
double log_gamma(double x) {
    double shift = 0.0;
    while (x < 10.0) {
        shift -= std::log(x);
        x += 1.0;
    }
    const double inverse = 1.0 / x;
    const double square = inverse * inverse;
    const double series =
        inverse *
        (1.0 / 12 -
         square *
             (1.0 / 360 -
              square * (1.0 / 1260 -
                        square * (1.0 / 1680 - square * (1.0 / 1188 - square * 691.0 / 360360)))));
    return shift + (x - 0.5) * std::log(x) - x + 0.5 * std::log(2 * std::numbers::pi) + series;
}

/// The continued fraction of the incomplete beta function, by Lentz's method.
/// Source: DLMF 8.17.22; Thompson & Barnett, J. Comput. Phys. 64 (1986) 490.
double beta_fraction(double a, double b, double x) {
    constexpr double tiny = 1e-300;
    const auto guarded = [](double value) { return std::abs(value) < tiny ? tiny : value; };
    double c = 1.0;
    double d = 1.0 / guarded(1.0 - (a + b) * x / (a + 1.0));
    double fraction = d;
    for (int m = 1; m < 10'000; ++m) {
        const double even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
        d = 1.0 / guarded(1.0 + even * d);
        c = guarded(1.0 + even / c);
        fraction *= d * c;
        const double odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
        d = 1.0 / guarded(1.0 + odd * d);
        c = guarded(1.0 + odd / c);
        const double step = d * c;
        fraction *= step;
        if (std::abs(step - 1.0) < 1e-16) {
            break;
        }
    }
    return fraction;
}

/// Regularised incomplete beta function I_x(a, b), where 1 - x is given too to keep its digits.
double incomplete_beta(double a, double b, double x, double one_minus_x) {
    if (x <= 0.0 || one_minus_x <= 0.0) {
        return x <= 0.0 ? 0.0 : 1.0;
    }
    const double front = std::exp(log_gamma(a + b) - log_gamma(a) - log_gamma(b) + a * std::log(x) +
                                  b * std::log(one_minus_x));
    return x < (a + 1.0) / (a + b + 2.0) ? front * beta_fraction(a, b, x) / a
                                         : 1.0 - front * beta_fraction(b, a, one_minus_x) / b;
}

/// The x where a falling tail function meets `target`; the tail is 1 at 0.
template <class Tail>
double invert_tail(const Tail& tail, double target) {
    double high = 1.0;
    while (tail(high) > target && high < 1e300) {
        high *= 2.0;
    }
    double low = 0.0;
    for (int step = 0; step < 200 && low < high; ++step) {
        const double middle = 0.5 * (low + high);
        if (middle == low || middle == high) {
            break;
        }
        (tail(middle) > target ? low : high) = middle;
    }
    return 0.5 * (low + high);
}

}  // namespace

double normal_quantile_two_sided(double confidence) {
    return invert_tail([](double z) { return std::erfc(z / std::numbers::sqrt2); },
                       1.0 - confidence);
}

double student_tail_two_sided(double t, double degrees) {
    const double square = t * t;
    return incomplete_beta(
        0.5 * degrees, 0.5, degrees / (degrees + square), square / (degrees + square));
}

double student_quantile_two_sided(double confidence, double degrees) {
    return invert_tail([degrees](double t) { return student_tail_two_sided(t, degrees); },
                       1.0 - confidence);
}

}  // namespace anamnesis::eval
