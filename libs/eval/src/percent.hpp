// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "anamnesis/base/text.hpp"
#include "anamnesis/eval/statistics.hpp"

namespace anamnesis::eval {

/// "98.3" for 0.983.
inline std::string percent(double share) {
    return format("{:.1f}", 100.0 * share);
}

/// "[91.1, 99.7]"
inline std::string percent(const Interval& interval) {
    return format("[{:.1f}, {:.1f}]", 100.0 * interval.low, 100.0 * interval.high);
}

/// A text as one field of a CSV line.
inline std::string csv_field(const std::string& text) {
    std::string result = "\"";
    for (const char c : text) {
        result += c == '"' ? "\"\"" : std::string(1, c);
    }
    return result + "\"";
}

}  // namespace anamnesis::eval
