// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "grading/expression.hpp"
#include "grading/tokens.hpp"
#include "grading/units.hpp"

namespace anamnesis::eval::grading {

/// Part of the real line. An absent end is infinite.
struct RealInterval {
    std::optional<Expression> low{};
    std::optional<Expression> high{};
    long double low_value = 0.0L;
    long double high_value = 0.0L;
    bool has_low = false;   ///< the low end belongs to it
    bool has_high = false;  ///< the high end belongs to it
};

enum class ValueKind : std::uint8_t {
    quantity,    ///< an expression, perhaps with a unit
    based,       ///< digits in a base that is written: 52_8
    collection,  ///< a list, tuple, set, or an interval with two ends
    intervals,   ///< a union of intervals, also one that inequalities describe
    matrix,
    ratio,     ///< 3:4
    equation,  ///< two sides, neither of which names the other
    clock,     ///< a time of day
    date,
};

/// "2:30 p.m.", "noon".
struct ClockTime {
    long seconds = 0;       ///< since midnight; since noon or midnight where the half is not known
    bool has_half = false;  ///< it says a.m. or p.m., or leaves no doubt
};

/// "March 5, 2021"; parts that are not given are 0.
struct Date {
    long year = 0;
    long month = 0;
    long day = 0;
    long weekday = 0;  ///< 1 for Monday
};

/// An answer that was understood as mathematics.
struct Value {
    ValueKind kind = ValueKind::quantity;
    std::string label{};                   ///< "x" of "x = 5" or "x < 5"; empty for none
    std::optional<Expression> equation{};  ///< left side minus right side, where there are sides

    Expression expression{};                   ///< quantity
    std::optional<Expression> thousands{};     ///< quantity: the other reading of "70k"
    std::optional<Expression> in_last_unit{};  ///< quantity: 210 of "3 hours 30 minutes"
    Unit unit{};                               ///< quantity
    std::string digits{};                      ///< based
    long base = 10;                            ///< based

    /// Collection: "", "()", "[)", "{}"…; "" is a bare list. Matrix: "|" of a determinant, "||" of
    /// a norm, "" of all brackets, which mean the same.
    std::string brackets{};
    std::vector<Value> items{};        ///< collection, ratio; matrix: row by row
    std::vector<std::string> names{};  ///< collection: labels of items such as "x=1, y=2"
    std::size_t columns = 0;           ///< matrix
    std::vector<RealInterval> intervals{};
    ClockTime clock{};
    Date date{};
};

/// What the tokens mean; empty where they are no mathematics. Nesting is limited to 12.
std::optional<Value> read_value(Tokens tokens);

/// A pair with brackets as the interval it may be.
std::optional<RealInterval> as_interval(const Value& value);

/// What two unions share, 200 intervals at most.
std::vector<RealInterval> common_parts(const std::vector<RealInterval>& left,
                                       const std::vector<RealInterval>& right);

/// An interval, a union of them, a point or a set of points; empty for another value.
std::optional<std::vector<RealInterval>> as_real_set(const Value& value);

/// What is left of one union without another; both are sorted and merged.
std::vector<RealInterval> difference(const std::vector<RealInterval>& left,
                                     const std::vector<RealInterval>& right);

/// Sorted and merged where they touch.
std::vector<RealInterval> merged(std::vector<RealInterval> intervals);

/// Words that turn an answer into its opposite: "not", "neither"…
bool is_negation(const std::string& word);

}  // namespace anamnesis::eval::grading
