// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/checkpoint/config_reader.hpp"

#include <charconv>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"

namespace anamnesis::checkpoint {
namespace {

std::string described(std::string_view key) {
    return format("config key {}", in_quotes(key));
}

/// Spaces and quotes off both ends, as a list printed by Python has them.
std::string_view trimmed(std::string_view text) {
    constexpr std::string_view edges = " \t\n\r'\"";
    const std::size_t begin = text.find_first_not_of(edges);
    if (begin == std::string_view::npos) {
        return {};
    }
    return text.substr(begin, text.find_last_not_of(edges) - begin + 1);
}

std::vector<std::string> words_of_python_list(std::string_view text, std::string_view what) {
    const std::string_view inner = trimmed(text);
    if (inner.size() < 2 || inner.front() != '[' || inner.back() != ']') {
        throw Error(ErrorKind::malformed,
                    format("{} is neither a list nor a Python list: {}", what, in_quotes(text)));
    }
    std::vector<std::string> words;
    for (const std::string& part : split(inner.substr(1, inner.size() - 2), ',')) {
        // Python allows a comma after the last element.
        if (const std::string_view word = trimmed(part); !word.empty()) {
            words.emplace_back(word);
        }
    }
    return words;
}

}  // namespace

std::uint32_t count_from(const Json& value, std::string_view what) {
    std::uint64_t number = 0;
    if (value.is_string()) {
        const std::string& text = value.as_string(what);
        const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
        if (error != std::errc{} || end != text.data() + text.size()) {
            throw Error(ErrorKind::malformed,
                        format("{} is not a number: {}", what, in_quotes(text)));
        }
    } else {
        // Some tools write 128.0 where 128 belongs.
        const double real = value.as_double(what);
        if (!(real >= 0.0) || real != std::floor(real) ||
            real > static_cast<double>(ConfigReader::largest_count)) {
            throw Error(ErrorKind::malformed,
                        format("{} is {}, expected a whole number from 0 to {}",
                               what,
                               real,
                               ConfigReader::largest_count));
        }
        number = static_cast<std::uint64_t>(real);
    }
    if (number > ConfigReader::largest_count) {
        throw Error(
            ErrorKind::malformed,
            format("{} is {}, expected at most {}", what, number, ConfigReader::largest_count));
    }
    return static_cast<std::uint32_t>(number);
}

double number_from(const Json& value, std::string_view what) {
    if (!value.is_string()) {
        return value.as_double(what);
    }
    const std::string& text = value.as_string(what);
    double number = 0.0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc{} || end != text.data() + text.size()) {
        throw Error(ErrorKind::malformed, format("{} is not a number: {}", what, in_quotes(text)));
    }
    return number;
}

ConfigReader::ConfigReader(const Json& root) : root_(root) {
    const Json* text = root.find("text_config");
    if (text != nullptr && text->is_object()) {
        text_ = text;
    }
}

const Json* ConfigReader::find_stated(std::string_view key) const {
    if (text_ != nullptr) {
        if (const Json* nested = text_->find(key)) {
            return nested;
        }
    }
    return root_.find(key);
}

const Json* ConfigReader::find(std::string_view key) const {
    const Json* value = find_stated(key);
    return value != nullptr && !value->is_null() ? value : nullptr;
}

bool ConfigReader::is_null(std::string_view key) const {
    const Json* value = find_stated(key);
    return value != nullptr && value->is_null();
}

std::optional<std::uint32_t> ConfigReader::find_count(std::string_view key) const {
    const Json* value = find(key);
    return value == nullptr ? std::nullopt : std::optional(count_from(*value, described(key)));
}

std::uint32_t ConfigReader::count(std::string_view key, std::uint32_t fallback) const {
    return find_count(key).value_or(fallback);
}

std::uint32_t ConfigReader::first_count(std::initializer_list<std::string_view> keys) const {
    for (const std::string_view key : keys) {
        if (const auto number = find_count(key)) {
            return *number;
        }
    }
    throw Error(ErrorKind::malformed,
                format("config.json has no key {}", in_quotes(*keys.begin())));
}

std::optional<double> ConfigReader::find_number(std::string_view key) const {
    const Json* value = find(key);
    return value == nullptr ? std::nullopt : std::optional(number_from(*value, described(key)));
}

bool ConfigReader::flag(std::string_view key, bool fallback) const {
    const Json* value = find(key);
    return value == nullptr ? fallback : value->as_boolean(described(key));
}

std::optional<std::string> ConfigReader::find_word(std::string_view key) const {
    const Json* value = find(key);
    return value == nullptr ? std::nullopt : std::optional(value->as_string(described(key)));
}

std::optional<std::vector<std::string>> ConfigReader::find_words(std::string_view key) const {
    const Json* value = find(key);
    if (value == nullptr) {
        return std::nullopt;
    }
    if (value->is_string()) {
        return words_of_python_list(value->as_string(key), described(key));
    }
    std::vector<std::string> words;
    for (const Json& element : value->as_array(described(key))) {
        words.push_back(element.as_string(described(key)));
    }
    return words;
}

std::optional<std::vector<std::uint32_t>> ConfigReader::find_counts(std::string_view key) const {
    const Json* value = find(key);
    if (value == nullptr) {
        return std::nullopt;
    }
    std::vector<std::uint32_t> counts;
    for (const Json& element : value->as_array(described(key))) {
        counts.push_back(count_from(element, described(key)));
    }
    return counts;
}

}  // namespace anamnesis::checkpoint
