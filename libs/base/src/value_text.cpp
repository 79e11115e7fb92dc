// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/base/value_text.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <optional>
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

std::string find_empty_item(std::string_view list) {
    if (list.size() >= 2 && list.front() == '[' && list.back() == ']') {
        list = list.substr(1, list.size() - 2);
    }
    const bool has_empty_item = list.empty() || list.front() == ',' || list.back() == ',' ||
                                list.find(",,") != std::string_view::npos;
    return has_empty_item ? "an item of the list is empty; leave it out, or give it" : "";
}

void check_values(std::span<const char* const> words, const FindOption& find) {
    std::string name;            // of the option whose values come
    OptionForm form;             // its
    bool is_next_taken = false;  // as its value, whatever the word looks like
    for (const std::string_view word : words) {
        const bool is_name = !is_next_taken && word.starts_with('-');
        const std::size_t equals = is_name ? word.find('=') : std::string_view::npos;
        const auto found =
            is_name ? find(std::string(word.substr(0, equals))) : std::optional<OptionForm>();
        if (found) {
            name = word.substr(0, equals);
            form = *found;
        }
        const bool has_no_value = found && equals == std::string_view::npos;
        is_next_taken = has_no_value && form.takes_value;
        if (name.empty() || has_no_value) {
            continue;
        }
        const std::string_view value = found ? word.substr(equals + 1) : word;
        std::string fault = found || form.is_list ? find_empty_text(value) : "";
        if (fault.empty() && form.is_list) {
            fault = find_empty_item(value);
        }
        if (!fault.empty()) {
            throw Error(ErrorKind::usage, format("{}: {}", name, fault));
        }
    }
}

std::string find_negative_text(std::string_view text) {
    return text.starts_with('-') ? "the value is negative, which this number cannot be" : "";
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
