// SPDX-License-Identifier: Apache-2.0
#include "grading/unit_letters.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <optional>
#include <string_view>
#include <vector>

#include "grading/quantity_reader.hpp"
#include "grading/tokens.hpp"
#include "grading/value.hpp"
#include "grading/word_list.hpp"

namespace anamnesis::eval::grading {
namespace {

/// Units of one letter that are no usual names of variables where they are set upright. An upright
/// d begins a differential, and an upright e or i is a constant.
constexpr auto unit_letters = std::to_array<std::string_view>(
    {"m", "s", "h", "g", "l", "L", "N", "J", "W", "V", "A", "K", "T", "C", "F"});

struct UnitRun {
    std::size_t begin = 0;
    std::size_t end = 0;
    std::size_t braces = 0;  ///< that are opened right before it, and closed in it
    bool is_upright = false;
};

bool is_unit_letter(const Token& token) {
    return token.kind == TokenKind::letter && contains(unit_letters, token.text);
}

/// The place after the units, powers and "/" that begin at `run.begin`.
std::size_t find_end(Tokens tokens, const UnitRun& run) {
    std::size_t open = run.braces;
    bool is_power = false;
    std::size_t place = run.begin;
    for (; place < tokens.size(); ++place) {
        const Token& token = tokens[place];
        if (token.is_symbol("{")) {
            ++open;
        } else if (token.is_symbol("}") && open > 0) {
            --open;
        } else if (token.is_symbol("^")) {
            is_power = true;
        } else if (is_power && token.kind == TokenKind::number) {
            is_power = false;
        } else if (!(is_power && token.is_symbol("-")) && !token.is_symbol("/") &&
                   !is_unit_letter(token)) {
            break;
        }
    }
    return open == 0 ? place : run.begin;
}

/// Whether a value can end there, so that its unit comes next.
bool ends_value(const Token& token, bool is_upright) {
    const bool is_variable = token.kind == TokenKind::letter && !token.is_upright;
    return token.kind == TokenKind::number || token.is_symbol(")") || token.is_command("pi") ||
           (is_upright && (is_variable || token.is_command("circ")));
}

/// Whether an answer, or a part of a list, can end before it. A word may say more of the unit.
bool ends_part(const Token& token) {
    constexpr auto signs = std::to_array<std::string_view>({",", ";", ")", "]", "\\}", "&"});
    return token.kind == TokenKind::word || token.is_command("\\") ||
           (token.kind == TokenKind::symbol && contains(signs, token.text));
}

std::optional<UnitRun> find_run(Tokens tokens, std::size_t begin) {
    UnitRun run{.begin = begin, .is_upright = tokens[begin].is_upright};
    while (run.braces < begin && tokens[begin - run.braces - 1].is_symbol("{")) {
        ++run.braces;
    }
    if (run.braces == begin) {
        return std::nullopt;
    }
    // Of "\frac{5}{m}" the m is no unit, of "\frac{5}{2} m" it is.
    const Token& before = tokens[begin - run.braces - 1];
    const bool follows_group = run.braces == 0 && before.is_symbol("}");
    run.end = find_end(tokens, run);
    const bool is_last = run.end == tokens.size() || ends_part(tokens[run.end]);
    const bool is_unit =
        (follows_group || ends_value(before, run.is_upright)) && run.end > begin && is_last;
    return is_unit ? std::optional(run) : std::nullopt;
}

std::vector<UnitRun> find_runs(Tokens tokens) {
    std::vector<UnitRun> runs;
    for (std::size_t i = 0; i < tokens.size(); ++i) {
        if (!is_unit_letter(tokens[i])) {
            continue;
        }
        if (const auto run = find_run(tokens, i)) {
            runs.push_back(*run);
            i = run->end - 1;
        }
    }
    return runs;
}

/// Whether a letter is neither part of a unit nor the name before "=".
bool has_variables(Tokens tokens, const std::vector<UnitRun>& runs) {
    for (std::size_t i = 0; i < tokens.size(); ++i) {
        const bool is_unit = std::ranges::any_of(
            runs, [i](const UnitRun& run) { return i >= run.begin && i < run.end; });
        const bool is_label = i + 1 < tokens.size() && tokens[i + 1].is_symbol("=");
        if (tokens[i].kind == TokenKind::letter && !is_unit && !is_label) {
            return true;
        }
    }
    return false;
}

/// The letters of `run` as words, without the braces around it.
void name_units(std::vector<Token>& tokens, const UnitRun& run) {
    for (std::size_t i = run.begin; i < run.end; ++i) {
        if (tokens[i].kind == TokenKind::letter) {
            tokens[i].kind = TokenKind::word;
            tokens[i].is_text = true;
        }
    }
    const auto begin = tokens.begin() + static_cast<std::ptrdiff_t>(run.begin - run.braces);
    tokens.erase(begin, begin + static_cast<std::ptrdiff_t>(run.braces));
}

}  // namespace

UnitReading read_unit_letters(Tokens tokens) {
    UnitReading reading{.tokens = std::vector<Token>(tokens.begin(), tokens.end())};
    const auto rest = without_lead(tokens);
    if (!rest || std::ranges::any_of(tokens, is_currency_sign)) {
        return reading;
    }
    const std::vector<UnitRun> runs = find_runs(*rest);
    const bool may_be_plain = !has_variables(*rest, runs);
    const std::size_t lead = tokens.size() - rest->size();
    // From the last, since braces that are left out move what comes after them.
    for (std::size_t i = runs.size(); i > 0; --i) {
        UnitRun run = runs[i - 1];
        if (!run.is_upright && !may_be_plain) {
            continue;
        }
        (run.is_upright ? reading.has_upright : reading.has_plain) = true;
        run.begin += lead;
        run.end += lead;
        name_units(reading.tokens, run);
    }
    return reading;
}

bool all_have_units(const Value& value) {
    if (value.kind == ValueKind::collection) {
        return !value.items.empty() && std::ranges::all_of(value.items, all_have_units);
    }
    return value.kind == ValueKind::quantity && !value.unit.words.empty();
}

}  // namespace anamnesis::eval::grading
