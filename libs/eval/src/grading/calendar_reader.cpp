// SPDX-License-Identifier: Apache-2.0
#include "grading/calendar_reader.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "grading/characters.hpp"
#include "grading/identity.hpp"
#include "grading/tokens.hpp"
#include "grading/value.hpp"
#include "grading/word_list.hpp"

namespace anamnesis::eval::grading {
namespace {

constexpr long hour = 3600;
constexpr long half_day = 12 * hour;

bool is_word(const Token& token, std::string_view word) {
    return (token.kind == TokenKind::word || token.kind == TokenKind::letter) &&
           lower(token.text) == word;
}

bool is_lead_word(const Token& token) {
    constexpr auto words = std::to_array<std::string_view>(
        {"at",   "the", "time", "is",      "it",    "on",     "by",   "about", "around", "exactly",
         "date", "of",  "was",  "will",    "be",    "answer", "so",   "a",     "day",    "in",
         "he",   "she", "they", "arrives", "until", "starts", "ends", "train", "meeting"});
    return token.is_symbol(":") ||
           (token.kind == TokenKind::word && contains(words, lower(token.text)));
}

/// A whole number of at most `digits` digits.
std::optional<long> read_whole(const Token& token, std::size_t digits) {
    if (token.kind != TokenKind::number || token.text.size() > digits ||
        !std::ranges::all_of(token.text, is_digit)) {
        return std::nullopt;
    }
    return std::strtol(token.text.c_str(), nullptr, 10);
}

/// Reads tokens from the left.
struct Cursor {
    Tokens tokens;
    std::size_t place = 0;

    bool has() const { return place < tokens.size(); }
    bool take_symbol(std::string_view symbol) {
        const bool is_there = has() && tokens[place].is_symbol(symbol);
        place += is_there ? 1 : 0;
        return is_there;
    }
    bool take_word(std::string_view word) {
        const bool is_there = has() && is_word(tokens[place], word);
        place += is_there ? 1 : 0;
        return is_there;
    }
    /// All of the words, or none.
    bool take_words(std::initializer_list<std::string_view> words) {
        const std::size_t begin = place;
        for (const std::string_view word : words) {
            if (!take_word(word)) {
                place = begin;
                return false;
            }
        }
        return true;
    }
    std::optional<long> take_whole(std::size_t digits) {
        const auto value = has() ? read_whole(tokens[place], digits) : std::nullopt;
        place += value ? 1 : 0;
        return value;
    }
};

enum class Half : std::uint8_t { unknown, morning, afternoon };

/// "a.m.", "PM", "p. m.", "in the evening".
Half take_half(Cursor& cursor) {
    for (const auto half : {Half::morning, Half::afternoon}) {
        const std::string_view letter = half == Half::morning ? "a" : "p";
        const std::size_t begin = cursor.place;
        if (cursor.take_word(half == Half::morning ? "am" : "pm")) {
            cursor.take_symbol(".");
            return half;
        }
        if (cursor.take_word(letter)) {
            cursor.take_symbol(".");
            if (cursor.take_word("m")) {
                cursor.take_symbol(".");
                return half;
            }
        }
        cursor.place = begin;
    }
    if (cursor.take_words({"in", "the", "morning"})) {
        return Half::morning;
    }
    if (cursor.take_words({"in", "the", "afternoon"}) ||
        cursor.take_words({"in", "the", "evening"}) || cursor.take_words({"at", "night"})) {
        return Half::afternoon;
    }
    return Half::unknown;
}

Tokens without_lead_words(Tokens tokens) {
    while (tokens.size() > 1 && is_lead_word(tokens.front())) {
        tokens = tokens.subspan(1);
    }
    return tokens;
}

/// "on Monday", "local time": what may come after a time.
bool is_remark(Tokens tokens) {
    constexpr auto words = std::to_array<std::string_view>({"on",
                                                            "local",
                                                            "time",
                                                            "sharp",
                                                            "today",
                                                            "tomorrow",
                                                            "that",
                                                            "day",
                                                            "the",
                                                            "same",
                                                            "next"});
    return std::ranges::all_of(tokens, [&](const Token& token) {
        return token.kind == TokenKind::word && contains(words, lower(token.text));
    });
}

std::optional<Value> make_clock(long hours, long minutes, long seconds, Half half, bool is_named) {
    const bool is_long = hours > 12;
    if (hours > 24 || minutes > 59 || seconds > 59 || (half == Half::morning && is_long)) {
        return std::nullopt;
    }
    Value value{.kind = ValueKind::clock};
    value.clock.has_half = half != Half::unknown || is_named;
    if (half != Half::unknown) {
        hours = hours % 12 + (half == Half::afternoon ? 12 : 0);
    }
    value.clock.seconds = (hours * hour + minutes * 60 + seconds) % (2 * half_day);
    return value;
}

/// "noon", "12 noon", "12:00 midnight".
std::optional<Value> read_named_time(Cursor cursor) {
    const auto twelve = cursor.take_whole(2);
    if (twelve && cursor.take_symbol(":") && cursor.take_whole(2) != 0L) {
        return std::nullopt;
    }
    const bool is_noon = cursor.take_word("noon") || cursor.take_word("midday");
    if ((twelve && twelve != 12L) || (!is_noon && !cursor.take_word("midnight")) || cursor.has()) {
        return std::nullopt;
    }
    return make_clock(is_noon ? 12 : 0, 0, 0, Half::unknown, true);
}

constexpr auto months = std::to_array<std::string_view>({"january",
                                                         "february",
                                                         "march",
                                                         "april",
                                                         "may",
                                                         "june",
                                                         "july",
                                                         "august",
                                                         "september",
                                                         "october",
                                                         "november",
                                                         "december"});
constexpr auto weekdays = std::to_array<std::string_view>(
    {"monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"});

/// 1 for the first name, also cut to three letters or, for "sept", four; 0 for another word.
template <std::size_t Count>
long find_name(const WordList<Count>& names, const Token& token) {
    const std::string word = lower(token.text);
    if (token.kind != TokenKind::word || word.size() < 3) {
        return 0;
    }
    for (std::size_t i = 0; i < Count; ++i) {
        if (names[i] == word || (word.size() <= 4 && names[i].starts_with(word))) {
            return static_cast<long>(i + 1);
        }
    }
    return 0;
}

/// 2021-03-05 and 2021/03/05.
std::optional<Value> read_iso_date(Tokens tokens) {
    if (tokens.size() != 5 || tokens[0].text.size() != 4 || tokens[1].text != tokens[3].text ||
        !(tokens[1].is_symbol("-") || tokens[1].is_symbol("/"))) {
        return std::nullopt;
    }
    const auto year = read_whole(tokens[0], 4);
    const auto month = read_whole(tokens[2], 2);
    const auto day = read_whole(tokens[4], 2);
    if (!year || !month || !day || tokens[2].text.size() != 2 || *month < 1 || *month > 12 ||
        *day < 1 || *day > 31) {
        return std::nullopt;
    }
    Value value{.kind = ValueKind::date};
    value.date = {.year = *year, .month = *month, .day = *day};
    return value;
}

/// The ending of "5th".
bool is_ordinal_ending(const Token& token) {
    constexpr auto endings = std::to_array<std::string_view>({"st", "nd", "rd", "th"});
    return token.kind == TokenKind::word && contains(endings, lower(token.text));
}

/// The time of day that 14:30 or 14:30:00 may be.
std::optional<ClockTime> clock_reading(const Value& ratio) {
    if (ratio.kind != ValueKind::ratio || ratio.items.size() > 3) {
        return std::nullopt;
    }
    std::array<long, 3> parts{};
    for (std::size_t i = 0; i < ratio.items.size(); ++i) {
        const long double value = real_value(ratio.items[i].expression);
        if (!(value >= 0.0L && value < 60.0L) ||
            static_cast<long double>(static_cast<long>(value)) != value) {
            return std::nullopt;
        }
        parts.at(i) = static_cast<long>(value);
    }
    const auto clock =
        make_clock(parts[0], parts[1], parts[2], Half::unknown, parts[0] > 12 || parts[0] == 0);
    return clock ? std::optional(clock->clock) : std::nullopt;
}

std::optional<ClockTime> as_clock(const Value& value) {
    return value.kind == ValueKind::clock ? value.clock : clock_reading(value);
}

}  // namespace

std::optional<Value> read_clock(Tokens tokens) {
    tokens = without_lead_words(tokens);
    if (auto named = read_named_time({tokens})) {
        return named;
    }
    Cursor cursor{tokens};
    const auto hours = cursor.take_whole(2);
    if (!hours) {
        return std::nullopt;
    }
    long minutes = 0;
    long seconds = 0;
    const bool has_minutes = cursor.take_symbol(":");
    if (has_minutes) {
        const auto given = cursor.take_whole(2);
        if (!given || cursor.tokens[cursor.place - 1].text.size() != 2) {
            return std::nullopt;
        }
        minutes = *given;
        if (cursor.take_symbol(":")) {
            const auto more = cursor.take_whole(2);
            if (!more) {
                return std::nullopt;
            }
            seconds = *more;
        }
    }
    bool is_clock = false;
    if (!has_minutes && cursor.take_word("o") && cursor.take_symbol("'")) {
        is_clock = cursor.take_word("clock");
    }
    const Half half = take_half(cursor);
    if (!(is_clock || half != Half::unknown) || !is_remark(tokens.subspan(cursor.place)) ||
        (half != Half::unknown && *hours == 0)) {
        return std::nullopt;
    }
    return make_clock(*hours, minutes, seconds, half, false);
}

std::optional<Value> read_date(Tokens tokens) {
    tokens = without_lead_words(tokens);
    if (auto iso = read_iso_date(tokens)) {
        return iso;
    }
    Value value{.kind = ValueKind::date};
    for (const Token& token : tokens) {
        const long month = find_name(months, token);
        const long weekday = find_name(weekdays, token);
        if (month > 0 && value.date.month == 0) {
            value.date.month = month;
        } else if (weekday > 0 && value.date.weekday == 0) {
            value.date.weekday = weekday;
        } else if (token.kind == TokenKind::number) {
            const auto number = read_whole(token, 4);
            const bool is_day = token.text.size() <= 2;
            if (!number || *number == 0 || (is_day && (value.date.day != 0 || *number > 31)) ||
                (!is_day && value.date.year != 0)) {
                return std::nullopt;
            }
            (is_day ? value.date.day : value.date.year) = *number;
        } else if (!token.is_symbol(",") && !token.is_symbol(".") && !token.is_symbol("^") &&
                   !token.is_symbol("{") && !token.is_symbol("}") && !is_ordinal_ending(token) &&
                   !is_word(token, "of") && !is_word(token, "the") && !is_word(token, "on")) {
            return std::nullopt;
        }
    }
    const bool is_date = value.date.month > 0 && (value.date.day > 0 || value.date.year > 0);
    return is_date ? std::optional(value) : std::nullopt;
}

bool same_clock(const Value& gold, const Value& answer) {
    const Value& other = gold.kind == ValueKind::clock ? answer : gold;
    const Value& time = gold.kind == ValueKind::clock ? gold : answer;
    if (other.kind == ValueKind::quantity) {
        const long named = (time.clock.seconds + half_day - hour) % half_day / hour + 1;
        return other.unit.words.empty() && time.clock.seconds % hour == 0 &&
               real_value(other.expression) == static_cast<long double>(named);
    }
    const auto left = as_clock(gold);
    const auto right = as_clock(answer);
    if (!left || !right) {
        return false;
    }
    return left->has_half && right->has_half
               ? left->seconds == right->seconds
               : left->seconds % half_day == right->seconds % half_day;
}

bool same_date(const Date& gold, const Date& answer) {
    const auto fits = [](long wanted, long found) { return wanted == 0 || wanted == found; };
    const bool same_weekday =
        gold.weekday == 0 || answer.weekday == 0 || gold.weekday == answer.weekday;
    return fits(gold.year, answer.year) && fits(gold.month, answer.month) &&
           fits(gold.day, answer.day) && same_weekday;
}

}  // namespace anamnesis::eval::grading
