// SPDX-License-Identifier: Apache-2.0
#include "axis.hpp"

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "anamnesis/base/text.hpp"
#include "anamnesis/report/document.hpp"

namespace anamnesis::report {
namespace {

/// "4K" for 4096, "0.25", "1e-05".
std::string make_label(double value) {
    constexpr double kilo = 1024.0;
    const double kilos = value / kilo;
    if (kilos >= 1.0 && kilos == std::floor(kilos)) {
        return format("{:.0f}K", kilos);
    }
    return format("{:.4g}", value);
}

double round_step(double range) {
    const double rough = range / 5.0;
    const double power = std::pow(10.0, std::floor(std::log10(rough)));
    for (const double factor : {1.0, 2.0, 5.0}) {
        if (factor * power >= rough) {
            return factor * power;
        }
    }
    return 10.0 * power;
}

}  // namespace

AxisScale::AxisScale(double low, double high, Curves::Axis kind, double from, double to)
    : low_(low), high_(high), kind_(kind), from_(from), to_(to) {
    if (kind_ == Curves::Axis::logarithmic) {
        low_ = low_ > 0.0 ? low_ : 1e-12;
        high_ = high_ > low_ ? high_ : 2.0 * low_;
    } else if (!(high_ > low_)) {
        low_ -= 0.5;
        high_ += 0.5;
    }
}

double AxisScale::place(double value) const {
    double share = (value - low_) / (high_ - low_);
    if (kind_ == Curves::Axis::logarithmic) {
        share = std::log(std::max(value, low_) / low_) / std::log(high_ / low_);
    }
    return from_ + (to_ - from_) * share;
}

std::vector<AxisScale::Tick> AxisScale::ticks() const {
    std::vector<Tick> ticks;
    if (kind_ == Curves::Axis::linear) {
        const double step = round_step(high_ - low_);
        const double slack = step * 1e-9;
        for (double value = std::ceil((low_ - slack) / step) * step; value <= high_ + slack;
             value += step) {
            const double rounded = std::abs(value) < slack ? 0.0 : value;
            ticks.push_back({.value = rounded, .label = format("{:.4g}", rounded)});
        }
        return ticks;
    }
    constexpr double most_octaves = 12.0;
    const double base = std::log2(high_ / low_) > most_octaves ? 10.0 : 2.0;
    double exponent = std::ceil(std::log(low_) / std::log(base) - 1e-9);
    for (double value = std::pow(base, exponent); value <= high_ * (1.0 + 1e-9);
         value = std::pow(base, ++exponent)) {
        ticks.push_back({.value = value, .label = make_label(value)});
    }
    return ticks;
}

}  // namespace anamnesis::report
