// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
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

/// The same for a list between commas, with or without brackets, one of whose items is empty:
/// readers of options leave such items out without a word.
std::string find_empty_item(std::string_view list);

/// What the words of a command line tell of an option.
struct OptionForm {
    bool takes_value = true;
    bool is_list = false;  ///< between commas
};
using FindOption = std::function<std::optional<OptionForm>(const std::string& name)>;

/// Walks over the words of a command line for what readers of options drop before anything can look
/// at it: the nothing in `--seed=`, in whose place they take the next word, and empty items of
/// lists. `find` tells an option by its name, "--seed". Errors: `usage`, naming the option.
void check_values(std::span<const char* const> words, const FindOption& find);

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

/// What is wrong with the text of an option's value, whatever the option: readers of options take
/// an empty one for 0, or for an option that was not given.
template <class Value>
std::string find_fault(const std::string& text) {
    if constexpr (holds_floats<Value>()) {
        return text.empty() ? find_empty_text(text) : find_text_of_nan(text);
    } else if constexpr (holds_counts<Value>()) {
        return text.empty() ? find_empty_text(text) : find_negative_text(text);
    } else {
        return find_empty_text(text);
    }
}

}  // namespace anamnesis
