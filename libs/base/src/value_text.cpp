// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/base/value_text.hpp"

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <set>
#include <span>
#include <string>
#include <string_view>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/text.hpp"

namespace anamnesis {

std::string find_empty_text(std::string_view text) {
    return text.empty() ? "the value is empty; leave it out, or give one" : "";
}

std::string find_negative_text(std::string_view text) {
    return text.starts_with('-') ? "the value is negative; give 0 or a positive number" : "";
}

std::string find_text_below_zero(const std::string& text) {
    return std::strtod(text.c_str(), nullptr) > 0.0 ? "" : "the value is not a number above 0";
}

std::string find_text_of_zero(const std::string& text) {
    const bool is_zero = !text.empty() && text.find_first_not_of('0') == std::string::npos;
    return is_zero ? "the value is 0; leave the option out, or give 1 or more" : "";
}

void refuse_repeated(std::string_view option, std::span<const std::uint64_t> numbers) {
    std::set<std::uint64_t> seen;
    for (const std::uint64_t number : numbers) {
        if (!seen.insert(number).second) {
            throw Error(ErrorKind::usage,
                        format("{} names {} twice; name each number once", option, number));
        }
    }
}

std::string find_text_of_nan(std::string_view text) {
    const std::string_view digits =
        text.substr(std::min(text.find_first_not_of("+-"), text.size()));
    const bool is_nan = digits.size() >= 3 && (digits[0] == 'n' || digits[0] == 'N') &&
                        (digits[1] == 'a' || digits[1] == 'A');
    return is_nan ? "the value is not a number" : "";
}

}  // namespace anamnesis
