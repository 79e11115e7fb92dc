// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/base/text.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "anamnesis/base/error.hpp"

namespace anamnesis {
namespace {

std::string with_unit(double value, std::span<const std::string_view> units) {
    std::size_t unit = 0;
    while (value >= 999.5 && unit + 1 < units.size()) {
        value /= 1000.0;
        ++unit;
    }
    const int decimals = value < 9.995 ? 2 : value < 99.95 ? 1 : 0;
    return fmt::format("{:.{}f}{}", value, decimals, units[unit]);
}

std::size_t edit_distance(std::string_view left, std::string_view right) {
    std::vector<std::size_t> row(right.size() + 1);
    std::iota(row.begin(), row.end(), std::size_t{0});
    for (std::size_t i = 0; i < left.size(); ++i) {
        std::size_t diagonal = row[0];
        row[0] = i + 1;
        for (std::size_t j = 0; j < right.size(); ++j) {
            const std::size_t substitution = diagonal + (left[i] == right[j] ? 0U : 1U);
            diagonal = row[j + 1];
            row[j + 1] = std::min({row[j] + 1, row[j + 1] + 1, substitution});
        }
    }
    return row.back();
}

std::uint32_t parse_number(std::string_view text, std::string_view what) {
    std::uint32_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc{} || end != text.data() + text.size()) {
        throw Error(
            ErrorKind::usage,
            format("{}: {} is not a number; write a list such as 3,7,9-11", what, in_quotes(text)));
    }
    return number;
}

}  // namespace

std::string human_bytes(std::uint64_t bytes) {
    if (bytes < 1000) {
        return format("{} bytes", bytes);
    }
    constexpr std::array<std::string_view, 5> units{"", " kB", " MB", " GB", " TB"};
    return with_unit(static_cast<double>(bytes), units);
}

std::string human_count(std::uint64_t count) {
    if (count < 1000) {
        return format("{}", count);
    }
    constexpr std::array<std::string_view, 5> units{"", " k", " M", " B", " T"};
    return with_unit(static_cast<double>(count), units);
}

std::string with_separators(std::uint64_t number) {
    std::string digits = format("{}", number);
    for (std::size_t i = digits.size(); i > 3;) {
        i -= 3;
        digits.insert(i, 1, ',');
    }
    return digits;
}

std::string escape_controls(std::string_view text) {
    std::string result;
    result.reserve(text.size());
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if (byte >= 0x20 && byte != 0x7F) {
            result += c;
        } else {
            result += format("\\x{:02x}", byte);
        }
    }
    return result;
}

std::string in_quotes(std::string_view text, std::size_t limit) {
    std::string result = "'";
    for (const char c : text.substr(0, limit)) {
        if (c == '\'' || c == '\\') {
            result += '\\';
        }
        result += c;
    }
    result = escape_controls(result);
    if (text.size() > limit) {
        result += "…";
    }
    return result + "'";
}

std::optional<std::string> find_nearest(std::string_view word,
                                        std::span<const std::string> candidates) {
    std::optional<std::string> nearest;
    std::size_t best = std::max<std::size_t>(2, word.size() / 3) + 1;
    for (const std::string& candidate : candidates) {
        const std::size_t distance = edit_distance(word, candidate);
        if (distance < best) {
            best = distance;
            nearest = candidate;
        }
    }
    return nearest;
}

std::vector<std::string> split(std::string_view text, char separator) {
    std::vector<std::string> parts;
    while (true) {
        const std::size_t end = text.find(separator);
        parts.emplace_back(text.substr(0, end));
        if (end == std::string_view::npos) {
            return parts;
        }
        text.remove_prefix(end + 1);
    }
}

std::string join(std::span<const std::string> parts, std::string_view separator) {
    std::string result;
    for (const std::string& part : parts) {
        if (&part != parts.data()) {
            result += separator;
        }
        result += part;
    }
    return result;
}

std::string compact_list(std::span<const std::uint32_t> numbers) {
    std::string result;
    for (std::size_t i = 0; i < numbers.size();) {
        std::size_t last = i;
        while (last + 1 < numbers.size() && numbers[last + 1] == numbers[last] + 1) {
            ++last;
        }
        if (!result.empty()) {
            result += ',';
        }
        result += last == i
                      ? format("{}", numbers[i])
                      : format("{}{}{}", numbers[i], last == i + 1 ? ',' : '-', numbers[last]);
        i = last + 1;
    }
    return result;
}

std::vector<std::uint32_t> parse_number_list(std::string_view text,
                                             std::string_view what,
                                             std::uint32_t limit) {
    std::set<std::uint32_t> numbers;
    for (const std::string& part : split(text, ',')) {
        const std::size_t dash = part.find('-');
        const std::uint32_t first = parse_number(std::string_view(part).substr(0, dash), what);
        const std::uint32_t last =
            dash == std::string::npos ? first
                                      : parse_number(std::string_view(part).substr(dash + 1), what);
        if (last < first || last - first >= limit) {
            throw Error(ErrorKind::usage, format("{}: {} is no range", what, in_quotes(part)));
        }
        // Counts in 64 bits: in 32, a range that ends at the largest number would never end.
        for (std::uint64_t number = first; number <= last; ++number) {
            numbers.insert(static_cast<std::uint32_t>(number));
        }
    }
    return {numbers.begin(), numbers.end()};
}

}  // namespace anamnesis
