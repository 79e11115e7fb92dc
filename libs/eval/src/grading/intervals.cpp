// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <limits>
#include <optional>
#include <utility>
#include <vector>

#include "grading/expression.hpp"
#include "grading/identity.hpp"
#include "grading/value.hpp"

namespace anamnesis::eval::grading {
namespace {

constexpr long double infinity = std::numeric_limits<long double>::infinity();

/// +1 or -1 for an infinite end, 0 for another.
int sign_of_infinity(const Expression& end) {
    if (!end.uses_symbol("infty") || end.variables().size() != 1 || end.nodes.size() > 2) {
        return 0;
    }
    return end.nodes.back().operation == Operation::negate ? -1 : 1;
}

bool touches(const RealInterval& left, const RealInterval& right) {
    return right.low_value < left.high_value ||
           (right.low_value == left.high_value && (left.has_high || right.has_low));
}

}  // namespace

std::optional<RealInterval> as_interval(const Value& value) {
    if (value.kind != ValueKind::collection || value.items.size() != 2 ||
        value.brackets.size() != 2 || value.brackets.front() == '{' ||
        value.brackets.front() == '<') {
        return std::nullopt;
    }
    const Value& low = value.items.front();
    const Value& high = value.items.back();
    if (low.kind != ValueKind::quantity || high.kind != ValueKind::quantity) {
        return std::nullopt;
    }
    RealInterval interval;
    interval.has_low = value.brackets.front() == '[';
    interval.has_high = value.brackets.back() == ']';
    interval.low_value = -infinity;
    interval.high_value = infinity;
    if (sign_of_infinity(low.expression) >= 0) {
        interval.low = low.expression;
        interval.low_value = real_value(low.expression);
    } else {
        interval.has_low = false;
    }
    if (sign_of_infinity(high.expression) <= 0) {
        interval.high = high.expression;
        interval.high_value = real_value(high.expression);
    } else {
        interval.has_high = false;
    }
    // Also false where an end is no number.
    return interval.low_value <= interval.high_value ? std::optional(interval) : std::nullopt;
}

std::vector<RealInterval> merged(std::vector<RealInterval> intervals) {
    std::ranges::sort(intervals, [](const RealInterval& left, const RealInterval& right) {
        return left.low_value != right.low_value ? left.low_value < right.low_value
                                                 : left.has_low && !right.has_low;
    });
    std::vector<RealInterval> result;
    for (RealInterval& interval : intervals) {
        if (result.empty() || !touches(result.back(), interval)) {
            result.push_back(std::move(interval));
            continue;
        }
        RealInterval& last = result.back();
        if (interval.high_value > last.high_value) {
            last.high = std::move(interval.high);
            last.high_value = interval.high_value;
            last.has_high = interval.has_high;
        } else if (interval.high_value == last.high_value) {
            last.has_high |= interval.has_high;
        }
    }
    return result;
}

}  // namespace anamnesis::eval::grading
