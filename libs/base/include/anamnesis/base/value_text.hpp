// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>

namespace anamnesis {

/// What is wrong with the text of a value; empty where nothing is. A text that is empty comes of a
/// variable of the shell that is not set.
std::string find_empty_text(std::string_view text);

/// The same for a number: "nan", which reads as one and which no range leaves out.
std::string find_text_of_nan(std::string_view text);

/// The same for a number that has to be above 0.
std::string find_text_below_zero(const std::string& text);

/// The same for a number that cannot be negative, which "-1" would wrap around to a huge one.
std::string find_negative_text(std::string_view text);

/// The same for a count that is 1 or more, or left out.
std::string find_text_of_zero(const std::string& text);

/// Errors: `usage` where `option` names a number twice.
void refuse_repeated(std::string_view option, std::span<const std::uint64_t> numbers);

/// Whether a type is a number that cannot be negative, or holds some.
template <class Value>
constexpr bool holds_counts() {
    if constexpr (requires { typename Value::value_type; }) {
        return std::is_unsigned_v<typename Value::value_type>;
    }
    return std::is_unsigned_v<Value>;
}

/// Whether a type is a number with a fraction, or holds some.
template <class Value>
constexpr bool holds_floats() {
    if constexpr (requires { typename Value::value_type; }) {
        return std::is_floating_point_v<typename Value::value_type>;
    }
    return std::is_floating_point_v<Value>;
}

}  // namespace anamnesis
