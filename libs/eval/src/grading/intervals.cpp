// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstddef>
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
constexpr std::size_t largest_union = 200;

/// +1 or -1 for an infinite end, 0 for another.
int sign_of_infinity(const Expression& end) {
    if (!end.uses_symbol("infty") || end.variables().size() != 1 || end.nodes.size() > 2) {
        return 0;
    }
    return end.nodes.back().operation == Operation::negate ? -1 : 1;
}

RealInterval common_part(RealInterval left, const RealInterval& right) {
    if (right.low_value > left.low_value || (right.low_value == left.low_value && !right.has_low)) {
        left.low = right.low;
        left.low_value = right.low_value;
        left.has_low = right.has_low;
    }
    if (right.high_value < left.high_value ||
        (right.high_value == left.high_value && !right.has_high)) {
        left.high = right.high;
        left.high_value = right.high_value;
        left.has_high = right.has_high;
    }
    return left;
}

/// All of the line that no interval covers; they are sorted and merged.
std::vector<RealInterval> complement(const std::vector<RealInterval>& intervals) {
    std::vector<RealInterval> result;
    RealInterval gap{.low_value = -infinity, .high_value = infinity};
    for (const RealInterval& interval : intervals) {
        if (interval.low) {
            gap.high = interval.low;
            gap.high_value = interval.low_value;
            gap.has_high = !interval.has_low;
            result.push_back(gap);
        }
        if (!interval.high) {
            return result;
        }
        gap = {.low = interval.high,
               .low_value = interval.high_value,
               .high_value = infinity,
               .has_low = !interval.has_high};
    }
    result.push_back(gap);
    return result;
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

std::vector<RealInterval> common_parts(const std::vector<RealInterval>& left,
                                       const std::vector<RealInterval>& right) {
    std::vector<RealInterval> result;
    for (const RealInterval& one : left) {
        for (const RealInterval& other : right) {
            const RealInterval part = common_part(one, other);
            const bool is_point = part.low_value == part.high_value;
            if (part.low_value < part.high_value || (is_point && part.has_low && part.has_high)) {
                result.push_back(part);
            }
        }
    }
    result.resize(std::min(result.size(), largest_union));
    return result;
}

std::optional<std::vector<RealInterval>> as_real_set(const Value& value) {
    if (value.kind == ValueKind::intervals) {
        return value.intervals;
    }
    if (const auto interval = as_interval(value)) {
        return std::vector{*interval};
    }
    const bool is_set =
        value.kind == ValueKind::collection && (value.brackets == "{}" || value.brackets.empty());
    if (!is_set && value.kind != ValueKind::quantity) {
        return std::nullopt;
    }
    const std::vector<Value> points = is_set ? value.items : std::vector{value};
    std::vector<RealInterval> result;
    for (const Value& point : points) {
        const auto interval =
            as_interval({.kind = ValueKind::collection, .brackets = "[]", .items = {point, point}});
        if (!interval) {
            return std::nullopt;
        }
        result.push_back(*interval);
    }
    return merged(std::move(result));
}

std::vector<RealInterval> difference(const std::vector<RealInterval>& left,
                                     const std::vector<RealInterval>& right) {
    return merged(common_parts(left, complement(right)));
}

}  // namespace anamnesis::eval::grading
