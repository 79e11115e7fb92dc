// SPDX-License-Identifier: Apache-2.0
#include "grading/units.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "grading/characters.hpp"
#include "grading/rational.hpp"

namespace anamnesis::eval::grading {
namespace {

struct KnownUnit {
    std::string_view word;
    std::string_view dimension;
    long numerator = 1;
    long denominator = 1;
};

// Factors to the dimension's own unit: metre, second, gram, dollar, joule. Imperial lengths are
// exact by the definition of 1959.
constexpr auto known_units = std::to_array<KnownUnit>({
    {"m", "length"},
    {"meter", "length"},
    {"metre", "length"},
    {"cm", "length", 1, 100},
    {"centimeter", "length", 1, 100},
    {"centimetre", "length", 1, 100},
    {"mm", "length", 1, 1000},
    {"millimeter", "length", 1, 1000},
    {"km", "length", 1000},
    {"kilometer", "length", 1000},
    {"kilometre", "length", 1000},
    {"in", "length", 254, 10'000},
    {"inch", "length", 254, 10'000},
    {"ft", "length", 3048, 10'000},
    {"foot", "length", 3048, 10'000},
    {"yd", "length", 9144, 10'000},
    {"yard", "length", 9144, 10'000},
    {"mi", "length", 1'609'344, 1000},
    {"mile", "length", 1'609'344, 1000},
    {"s", "time"},
    {"sec", "time"},
    {"second", "time"},
    {"min", "time", 60},
    {"minute", "time", 60},
    {"h", "time", 3600},
    {"hr", "time", 3600},
    {"hour", "time", 3600},
    {"day", "time", 86'400},
    {"week", "time", 604'800},
    {"month", "month"},
    {"year", "month", 12},
    {"yr", "month", 12},
    {"g", "mass"},
    {"gram", "mass"},
    {"kg", "mass", 1000},
    {"kilogram", "mass", 1000},
    {"mg", "mass", 1, 1000},
    {"oz", "weight"},
    {"ounce", "weight"},
    {"lb", "weight", 16},
    {"pound", "weight", 16},
    {"ton", "weight", 32'000},
    {"dollar", "money"},
    {"usd", "money"},
    {"cent", "money", 1, 100},
    {"dime", "money", 1, 10},
    {"euro", "euro"},
    {"eur", "euro"},
    {"sterling", "sterling"},
    {"€", "euro"},
    {"gbp", "sterling"},
    {"pence", "sterling", 1, 100},
    {"yen", "yen"},
    {"jpy", "yen"},
    {"円", "yen"},
    {"圓", "yen"},
    {"yuan", "yuan"},
    {"元", "yuan"},
    {"块", "yuan"},
    {"cny", "yuan"},
    {"rmb", "yuan"},
    {"rupee", "rupee"},
    {"inr", "rupee"},
    {"rs", "rupee"},
    {"paise", "rupee", 1, 100},
    {"paisa", "rupee", 1, 100},
    {"ruble", "ruble"},
    {"rouble", "ruble"},
    {"rub", "ruble"},
    {"kopeck", "ruble", 1, 100},
    {"won", "won"},
    {"krw", "won"},
    {"원", "won"},
    {"shekel", "shekel"},
    {"dong", "dong"},
    {"lira", "lira"},
    {"peso", "peso"},
    {"baht", "baht"},
    {"naira", "naira"},
    {"hryvnia", "hryvnia"},
    {"franc", "franc"},
    {"chf", "franc"},
    {"zloty", "zloty"},
    {"zł", "zloty"},
    {"złoty", "zloty"},
    {"pln", "zloty"},
    {"l", "length^3", 1, 1000},
    {"liter", "length^3", 1, 1000},
    {"litre", "length^3", 1, 1000},
    {"ml", "length^3", 1, 1'000'000},
    {"milliliter", "length^3", 1, 1'000'000},
    {"millilitre", "length^3", 1, 1'000'000},
    {"pint", "measure"},
    {"quart", "measure", 2},
    {"gallon", "measure", 8},
    {"mph", "length/time", 1'609'344, 3'600'000},
    {"kph", "length/time", 1000, 3600},
    {"penny", "money", 1, 100},
    {"pennies", "money", 1, 100},
    {"nickel", "money", 5, 100},
    {"j", "energy"},
    {"joule", "energy"},
    {"w", "power"},
    {"watt", "power"},
    {"hertz", "frequency"},
    {"mole", "amount"},
    {"radian", ""},
    {"rad", ""},
    {"unit", ""},
});

// Symbols that are units as they are spelled; in another case they are products of letters.
constexpr auto spelled_units = std::to_array<KnownUnit>({
    {"Hz", "frequency"},
    {"kHz", "frequency", 1000},
    {"MHz", "frequency", 1'000'000},
    {"GHz", "frequency", 1'000'000'000},
    {"kJ", "energy", 1000},
    {"Wh", "energy", 3600},
    {"kWh", "energy", 3'600'000},
    {"kW", "power", 1000},
    {"MW", "power", 1'000'000},
    {"mol", "amount"},
    {"mmol", "amount", 1, 1000},
});

std::string singular(std::string_view word) {
    std::string text = lower(word);
    if (text == "feet") {
        return "foot";
    }
    if (text == "inches") {
        return "inch";
    }
    if (text == "rs") {
        return text;
    }
    if (text.size() > 2 && text.ends_with('s') && !text.ends_with("ss")) {
        text.pop_back();
    }
    return text;
}

template <std::size_t Count>
const KnownUnit* find_in(const std::array<KnownUnit, Count>& table, std::string_view word) {
    const auto found = std::ranges::find(table, word, &KnownUnit::word);
    return found == table.end() ? nullptr : &*found;
}

/// `word` is as it was spelled.
const KnownUnit* find_unit(std::string_view word) {
    const KnownUnit* spelled = find_in(spelled_units, word);
    return spelled != nullptr ? spelled : find_in(known_units, singular(word));
}

Rational power(const Rational& base, int exponent) {
    Rational result = 1;
    for (int i = 0; i < exponent; ++i) {
        result *= base;
    }
    return result;
}

/// Whether words are part of others. A letter alone begins one of them: N is in "newton", and not
/// in "can".
bool is_within(std::string_view part, std::string_view whole) {
    if (part.size() != 1) {
        return whole.find(part) != std::string_view::npos;
    }
    return whole.starts_with(part) || whole.find(" " + std::string(part)) != std::string_view::npos;
}

/// Reads one factor of a unit: "square inch", "cm ^ 2".
struct Reader {
    const std::vector<std::string>& words;     // singular and lower case
    const std::vector<std::string>& spelling;  // the same as they were written
    std::size_t position = 0;

    bool factor(Unit& unit, bool divides) {
        int exponent = 1;
        if (position < words.size() && (words[position] == "square" || words[position] == "sq")) {
            exponent = 2;
            ++position;
        } else if (position < words.size() && words[position] == "cubic") {
            exponent = 3;
            ++position;
        }
        const KnownUnit* known = position < words.size() ? find_unit(spelling[position]) : nullptr;
        if (known == nullptr) {
            return false;
        }
        ++position;
        if (const auto written = find_exponent()) {
            exponent = std::abs(*written);
            divides = divides != (*written < 0);
            position += 2;
        } else if (position < words.size() && words[position] == "squared") {
            exponent = 2;
            ++position;
        }
        if (known->dimension.empty()) {
            return true;
        }
        const Rational scale = power(Rational(known->numerator, known->denominator), exponent);
        unit.factor = divides ? Rational(unit.factor / scale) : Rational(unit.factor * scale);
        unit.dimension += (divides ? "/" : "") + std::string(known->dimension);
        unit.dimension += exponent > 1 ? "^" + std::to_string(exponent) : "";
        return true;
    }

    /// 2 for "^ 2", -1 for "^ -1".
    std::optional<int> find_exponent() const {
        if (position + 1 >= words.size() || words[position] != "^") {
            return std::nullopt;
        }
        std::string_view digits = words[position + 1];
        const bool is_negative = digits.starts_with('-');
        digits.remove_prefix(is_negative ? 1 : 0);
        if (digits.size() != 1 || !is_digit(digits.front())) {
            return std::nullopt;
        }
        const int digit = digits.front() - '0';
        return is_negative ? -digit : digit;
    }
};

}  // namespace

bool is_unit_word(std::string_view word) {
    return word.size() > 1 && (find_unit(word) != nullptr || lower(word) == "sq");
}

Unit parse_unit(const std::vector<std::string>& words) {
    std::vector<std::string> singulars;
    Unit unit;
    for (const std::string& word : words) {
        singulars.push_back(singular(word));
        unit.words += (unit.words.empty() ? "" : " ") + singulars.back();
    }
    Reader reader{.words = singulars, .spelling = words};
    bool is_known = !singulars.empty();
    bool divides = false;
    while (is_known && reader.position < singulars.size()) {
        const std::string& word = singulars[reader.position];
        if (word == "per" || word == "/" || word == "a" || word == "an") {
            divides = true;
            ++reader.position;
            continue;
        }
        is_known = reader.factor(unit, divides);
    }
    if (!is_known) {
        unit.dimension.clear();
        unit.factor = 1;
    } else if (unit.dimension.empty()) {
        unit.is_radian = singulars.front().starts_with("rad");
        unit.words.clear();  // "units" and "radians" say nothing
    }
    unit.factor.canonicalize();
    return unit;
}

std::optional<Rational> conversion(const Unit& from, const Unit& to) {
    if (from.words.empty() || to.words.empty() || from.words == to.words) {
        return Rational(1);
    }
    // The sign ¥ is that of both.
    const auto is_sign = [](const Unit& sign, const Unit& other) {
        return sign.words == "yen" && other.dimension == "yuan";
    };
    if (is_sign(from, to) || is_sign(to, from)) {
        return Rational(1);
    }
    // "20 pounds" are money beside £20.
    const auto names_pounds = [](const Unit& weight, const Unit& money) {
        return weight.words == "pound" && money.dimension == "sterling";
    };
    if (names_pounds(from, to) || names_pounds(to, from)) {
        return names_pounds(from, to) ? Rational(1 / to.factor) : from.factor;
    }
    if (!from.dimension.empty() && from.dimension == to.dimension) {
        return Rational(from.factor / to.factor);
    }
    // "apples" for "red apples", "N" for "newtons".
    const bool is_part = is_within(from.words, to.words) || is_within(to.words, from.words);
    return is_part && from.dimension.empty() && to.dimension.empty() ? std::optional(Rational(1))
                                                                     : std::nullopt;
}

}  // namespace anamnesis::eval::grading
