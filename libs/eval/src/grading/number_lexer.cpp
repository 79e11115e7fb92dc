// SPDX-License-Identifier: Apache-2.0
#include "grading/number_lexer.hpp"

#include <array>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "grading/characters.hpp"
#include "grading/tokens.hpp"

namespace anamnesis::eval::grading {
namespace {

/// Digits of a fraction in which a repetition is looked for.
constexpr std::size_t longest_fraction = 200;

std::size_t count_digits(std::string_view text, std::size_t position) {
    std::size_t count = 0;
    while (position + count < text.size() && is_digit(text[position + count])) {
        ++count;
    }
    return count;
}

std::size_t skip_spaces(std::string_view text, std::size_t position) {
    while (position < text.size() && is_space(text[position])) {
        ++position;
    }
    return position;
}

/// The length of a separator of thousands at `position`, 0 for none.
std::size_t separator_length(std::string_view text, std::size_t position, Commas commas) {
    const std::string_view rest = text.substr(position);
    for (const std::string_view separator : {std::string_view(",\\! "),
                                             std::string_view(",\\!"),
                                             std::string_view("{,}\\!"),
                                             std::string_view("{,}"),
                                             std::string_view("\\,"),
                                             std::string_view("\\!"),
                                             std::string_view("\\ "),
                                             std::string_view("~"),
                                             std::string_view(" ")}) {
        if (rest.starts_with(separator)) {
            return separator.size();
        }
    }
    return commas == Commas::group_digits && rest.starts_with(',') ? 1 : 0;
}

struct Grouped {
    std::string digits;
    std::size_t end = 0;
    std::size_t separators = 0;
};

/// Groups of `size` digits after a first one of as many at most, the last group always of three;
/// nothing where a group is not complete.
std::optional<Grouped> read_groups(std::string_view text,
                                   std::size_t position,
                                   std::string_view separator,
                                   std::size_t size) {
    const std::size_t first = count_digits(text, position);
    if (first == 0 || first > size || text[position] == '0') {
        return std::nullopt;
    }
    Grouped result{.digits = std::string(text.substr(position, first)), .end = position + first};
    std::size_t last = first;
    while (text.substr(result.end).starts_with(separator)) {
        const std::size_t begin = result.end + separator.size();
        const std::size_t count = count_digits(text, begin);
        if (count != size && count != 3) {
            return std::nullopt;
        }
        result.digits += text.substr(begin, count);
        result.end = begin + count;
        ++result.separators;
        last = count;
        if (count != size) {
            break;
        }
    }
    const bool goes_on = text.substr(result.end).starts_with(separator) &&
                         count_digits(text, result.end + separator.size()) > 0;
    return last == 3 && !goes_on ? std::optional(result) : std::nullopt;
}

/// "1.234.567", "1'234'567", "1_234_567", "12,34,567": separators that mean something else where
/// they stand alone.
std::optional<Grouped> read_unusual_groups(std::string_view text,
                                           std::size_t position,
                                           Commas commas) {
    struct Style {
        std::string_view separator;
        std::size_t size;
        std::size_t fewest;
    };
    constexpr auto styles =
        std::to_array<Style>({{".", 3, 2}, {"'", 3, 1}, {"_", 3, 2}, {",", 2, 2}, {"{,}", 2, 2}});
    for (const Style& style : styles) {
        if (style.separator == "," && commas == Commas::separate) {
            continue;
        }
        auto groups = read_groups(text, position, style.separator, style.size);
        if (groups && groups->separators >= style.fewest) {
            const std::size_t decimals = count_digits(text, groups->end + 1);
            if (style.separator == "." && text.substr(groups->end).starts_with(',') &&
                decimals > 0) {
                groups->digits += "." + std::string(text.substr(groups->end + 1, decimals));
                groups->end += 1 + decimals;
            }
            return groups;
        }
    }
    return std::nullopt;
}

/// What "\overline{16}", "\dot 3" or "\bar3" at `position` mark; empty for none.
std::string read_marked(std::string_view text, std::size_t& position) {
    for (const std::string_view name : {std::string_view("\\overline"),
                                        std::string_view("\\bar"),
                                        std::string_view("\\dot"),
                                        std::string_view("\\overset{.}"),
                                        std::string_view("\\mathring")}) {
        if (!text.substr(position).starts_with(name)) {
            continue;
        }
        const std::size_t argument = skip_spaces(text, position + name.size());
        if (argument < text.size() && is_digit(text[argument])) {
            position = argument + 1;
            return std::string(1, text[argument]);
        }
        if (argument >= text.size() || text[argument] != '{') {
            return {};
        }
        const std::size_t begin = skip_spaces(text, argument + 1);
        const std::size_t count = count_digits(text, begin);
        const std::size_t end = skip_spaces(text, begin + count);
        if (count == 0 || end >= text.size() || text[end] != '}') {
            return {};
        }
        position = end + 1;
        return std::string(text.substr(begin, count));
    }
    return {};
}

/// The group from the first mark to the last: "\dot{1}4285\dot{7}" is 142857.
std::string read_marked_group(std::string_view text, std::size_t& position) {
    std::string group;
    std::size_t end = position;
    std::string between;
    while (true) {
        const std::string marked = read_marked(text, end);
        if (marked.empty()) {
            return group;
        }
        group += between + marked;
        position = end;
        const std::size_t count = count_digits(text, end);
        between = text.substr(end, count);
        end += count;
    }
}

/// "(142857)".
std::string read_bracketed_group(std::string_view text, std::size_t& position) {
    if (!text.substr(position).starts_with('(')) {
        return {};
    }
    const std::size_t count = count_digits(text, position + 1);
    const std::size_t close = position + 1 + count;
    if (count == 0 || close >= text.size() || text[close] != ')') {
        return {};
    }
    position = close + 1;
    return std::string(text.substr(close - count, count));
}

/// The length of an ellipsis after spaces, 0 for none.
std::size_t ellipsis_length(std::string_view text, std::size_t position) {
    const std::size_t begin = skip_spaces(text, position);
    for (const std::string_view dots : {std::string_view("\\ldots"),
                                        std::string_view("\\dots"),
                                        std::string_view("\\cdots"),
                                        std::string_view("...")}) {
        if (text.substr(begin).starts_with(dots)) {
            return begin + dots.size() - position;
        }
    }
    return 0;
}

struct Period {
    std::size_t begin = 0;
    std::size_t length = 0;
};

/// The shortest group that the digits end with twice; one of four digits or more may break off in
/// its second round where it begins right after the point.
std::optional<Period> find_period(std::string_view digits) {
    const std::size_t count = digits.size();
    for (std::size_t length = 1; length < count && count <= longest_fraction; ++length) {
        std::size_t matched = length;
        while (matched < count &&
               digits[count - 1 - matched] == digits[count - 1 - matched + length]) {
            ++matched;
        }
        const bool breaks_off = length >= 4 && matched == count && count >= length + 3;
        if (matched >= 2 * length || breaks_off) {
            return Period{.begin = count - matched, .length = length};
        }
    }
    return std::nullopt;
}

/// Turns "0.1666" before an ellipsis to "0.1(6)"; leaves all as it is where nothing repeats.
void read_ellipsis(std::string_view text, std::size_t& position, std::string& value) {
    const std::size_t length = ellipsis_length(text, position);
    const std::size_t point = value.find('.');
    if (length == 0 || point == std::string::npos) {
        return;
    }
    const std::string fraction = value.substr(point + 1);
    if (const auto period = find_period(fraction)) {
        value = value.substr(0, point + 1 + period->begin) + "(" +
                fraction.substr(period->begin, period->length) + ")";
        position += length;
    }
}

/// "0.1\overline{6}", "0.1(6)", "0.1666…"; the point may come right before the mark.
void read_repetition(std::string_view text, std::size_t& position, std::string& value) {
    const bool has_point = value.find('.') != std::string::npos;
    std::size_t end = position;
    if (!has_point) {
        if (!text.substr(position).starts_with('.')) {
            return;
        }
        ++end;
    }
    std::string group = read_marked_group(text, end);
    if (group.empty()) {
        group = read_bracketed_group(text, end);
    }
    if (!group.empty()) {
        value += has_point ? "(" : ".(";
        value += group + ")";
        position = end;
    } else {
        read_ellipsis(text, position, value);
    }
}

void read_exponent(std::string_view text, std::size_t& position, std::string& value) {
    if (position >= text.size() || (text[position] != 'e' && text[position] != 'E') ||
        value.ends_with(')')) {
        return;
    }
    std::size_t digits = position + 1;
    if (digits < text.size() && (text[digits] == '-' || text[digits] == '+')) {
        ++digits;
    }
    const std::size_t count = count_digits(text, digits);
    const std::size_t end = digits + count;
    if (count == 0 || (end < text.size() && is_letter(text[end]))) {
        return;
    }
    value += "e" + std::string(text.substr(position + 1, end - position - 1));
    position = end;
}

}  // namespace

std::string lex_number(std::string_view text, std::size_t& position, Commas commas) {
    if (const auto groups = read_unusual_groups(text, position, commas)) {
        position = groups->end;
        std::string value = groups->digits;
        if (value.find('.') != std::string::npos) {
            return value;
        }
        const std::size_t decimals =
            text.substr(position).starts_with('.') ? count_digits(text, position + 1) : 0;
        value += decimals > 0 ? text.substr(position, decimals + 1) : std::string_view();
        position += decimals > 0 ? decimals + 1 : 0;
        return value;
    }
    std::size_t count = count_digits(text, position);
    std::string value(text.substr(position, count));
    position += count;
    if (count >= 1 && count <= 3 && value.front() != '0') {
        std::size_t gap = separator_length(text, position, commas);
        while (gap > 0 && count_digits(text, position + gap) == 3) {
            value += text.substr(position + gap, 3);
            position += gap + 3;
            gap = separator_length(text, position, commas);
        }
    }
    if (position < text.size() && text[position] == '.') {
        count = count_digits(text, position + 1);
        value += count > 0 ? text.substr(position, count + 1) : std::string_view();
        position += count > 0 ? count + 1 : 0;
        read_repetition(text, position, value);
    }
    read_exponent(text, position, value);
    return value;
}

}  // namespace anamnesis::eval::grading
