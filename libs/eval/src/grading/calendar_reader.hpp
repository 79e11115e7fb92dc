// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>

#include "grading/tokens.hpp"
#include "grading/value.hpp"

namespace anamnesis::eval::grading {

/// "3:00 p.m.", "10:15 AM", "4 pm", "noon", "at 9 o'clock". Two numbers with a colon and nothing
/// else are a ratio, which `same_clock` takes for a time.
std::optional<Value> read_clock(Tokens tokens);

/// A date with its month in letters, in any order ("5th of March 2021", "Friday, March 5, 2021",
/// "May 1990"), or as 2021-03-05.
std::optional<Value> read_date(Tokens tokens);

/// Whether two values, one of them a time of day, are the same. A missing "p.m." is fine, as a
/// missing unit is; 14:30 is 2:30 p.m., and 4 may be 4:00 p.m.
bool same_clock(const Value& gold, const Value& answer);

/// What the gold date leaves open may be anything; weekdays may be missing.
bool same_date(const Date& gold, const Date& answer);

}  // namespace anamnesis::eval::grading
