// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <cstddef>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "grading/calendar_reader.hpp"
#include "grading/characters.hpp"
#include "grading/compound_reader.hpp"
#include "grading/modulus.hpp"
#include "grading/number_words.hpp"
#include "grading/quantity_reader.hpp"
#include "grading/relation_reader.hpp"
#include "grading/text_answers.hpp"
#include "grading/token_ranges.hpp"
#include "grading/tokens.hpp"
#include "grading/value.hpp"
#include "grading/word_list.hpp"

namespace anamnesis::eval::grading {
namespace {

constexpr int deepest_nesting = 12;
constexpr std::size_t largest_collection = 200;

bool is_connector(const Token& token) {
    return token.is_symbol(",") || token.is_symbol(";") ||
           (token.kind == TokenKind::word &&
            (lower(token.text) == "and" || lower(token.text) == "or"));
}

/// "x > 2 and x < 5"; "x ≠ 2, 3" and "x ≠ ±3" exclude all they name.
bool is_intersection(Tokens tokens) {
    return std::ranges::any_of(tokens, [](const Token& token) {
        return token.is_command("ne") ||
               (token.kind == TokenKind::word && lower(token.text) == "and");
    });
}

bool are_all_reals(Tokens tokens) {
    const std::string text = canonical(tokens);
    return text == "\\bbR " || text == "\\R " || text == " all  real  numbers " ||
           text == " all  reals " || text == " real  numbers " || text == " reals " ||
           text == " any  real  number " || text == " the  real  numbers ";
}

/// "5 (not 6)", "160 minutes (2 hours 40 minutes)": a remark in brackets after a number.
Tokens without_remark(Tokens tokens) {
    for (std::size_t i = 1; i < tokens.size(); ++i) {
        if (!tokens[i].is_symbol("(") || !tokens[i].has_space_before) {
            continue;
        }
        const Tokens rest = tokens.subspan(i);
        const bool has_word = std::ranges::any_of(rest, [](const Token& token) {
            return token.kind == TokenKind::word && (token.is_text || token.text.size() > 2);
        });
        if (has_word && closing_place(rest) == rest.size() - 1) {
            return tokens.first(i);
        }
    }
    return tokens;
}

/// Both readings of ± and ∓, the upper signs first.
std::vector<Token> with_sign(Tokens tokens, bool is_upper) {
    std::vector<Token> result(tokens.begin(), tokens.end());
    for (Token& token : result) {
        if (token.is_command("pm") || token.is_command("mp")) {
            const bool is_plus = (token.text == "pm") == is_upper;
            token.kind = TokenKind::symbol;
            token.text = is_plus ? "+" : "-";
        }
    }
    return result;
}

class Reader {
public:
    /// A whole answer or the inside of brackets.
    std::optional<Value> list(Tokens tokens, int depth) const {
        tokens = without_braces(tokens);
        if (auto whole = read_undivided(tokens)) {
            return whole;
        }
        const std::size_t sign = find_set_difference(tokens);
        if (sign > 0 && sign < tokens.size() && depth <= deepest_nesting &&
            !has_relation(tokens.first(sign))) {
            return without_part(tokens, sign, depth);
        }
        const std::vector<Tokens> parts = split_outside(tokens, is_connector);
        if (parts.empty() || parts.size() > largest_collection || depth > deepest_nesting) {
            return std::nullopt;
        }
        if (parts.size() == 1) {
            return item(parts.front(), depth);
        }
        Value result{.kind = ValueKind::collection};
        for (const Tokens part : parts) {
            auto value = item(part, depth);
            if (!value) {
                return std::nullopt;
            }
            append(result, std::move(*value));
        }
        return joined(result, is_intersection(tokens));
    }

private:
    /// Dates, times and "3 hours, 30 minutes", in which commas separate nothing.
    static std::optional<Value> read_undivided(Tokens tokens) {
        auto value = read_date(tokens);
        if (!value) {
            value = read_clock(tokens);
        }
        return value ? value : read_compound(tokens);
    }

    /// Lists inside a list are flat, as those of ± are.
    static void append(Value& list, Value value) {
        if (value.kind == ValueKind::collection && value.brackets.empty()) {
            for (Value& each : value.items) {
                append(list, std::move(each));
            }
            return;
        }
        list.names.push_back(value.label);
        list.items.push_back(std::move(value));
    }

    /// Inequalities side by side are one part of the real line; any other list stays one.
    static std::optional<Value> joined(const Value& list, bool is_intersection) {
        if (!std::ranges::all_of(list.items, [](const Value& value) {
                return value.kind == ValueKind::intervals;
            })) {
            return list;
        }
        Value result = list.items.front();
        for (std::size_t i = 1; i < list.items.size(); ++i) {
            const Value& other = list.items[i];
            if (other.label != result.label && !other.label.empty()) {
                return list;
            }
            if (is_intersection) {
                result.intervals = common_parts(result.intervals, other.intervals);
            } else {
                result.intervals.insert(
                    result.intervals.end(), other.intervals.begin(), other.intervals.end());
            }
        }
        result.intervals = merged(std::move(result.intervals));
        return result;
    }

    std::optional<Value> item(Tokens tokens, int depth) const {
        tokens = without_braces(tokens);
        if (depth > deepest_nesting || tokens.empty()) {
            return std::nullopt;
        }
        if (are_all_reals(tokens)) {
            return all_reals();
        }
        if (is_empty_set(tokens)) {
            return Value{.kind = ValueKind::collection, .brackets = "{}"};
        }
        const bool is_set =
            tokens.front().is_symbol("\\{") && closing_place(tokens) == tokens.size() - 1;
        if (contains_command(tokens, "pm", "mp") && !is_set) {
            return both_signs(tokens, depth);
        }
        const ValueReading whole = [this, depth](Tokens part) { return list(part, depth + 1); };
        if (has_relation(tokens)) {
            return read_relation(tokens, whole);
        }
        if (find_outside(tokens, [](const Token& token) { return token.is_command("cup"); }) <
            tokens.size()) {
            return united(tokens, depth);
        }
        if (contains_command(tokens, "begin", "begin")) {
            return read_matrix(tokens, whole);
        }
        if (is_opening(tokens.front()) && closing_place(tokens) == tokens.size() - 1) {
            return bracketed(tokens, depth);
        }
        return plain(tokens, depth);
    }

    std::optional<Value> both_signs(Tokens tokens, int depth) const {
        Value result{.kind = ValueKind::collection};
        for (const bool is_upper : {true, false}) {
            auto value = item(with_sign(tokens, is_upper), depth + 1);
            if (!value) {
                return std::nullopt;
            }
            append(result, std::move(*value));
        }
        return joined(result, is_intersection(tokens));
    }

    static Value all_reals() {
        constexpr long double infinity = std::numeric_limits<long double>::infinity();
        Value result{.kind = ValueKind::intervals};
        result.intervals.push_back({.low_value = -infinity, .high_value = infinity});
        return result;
    }

    std::optional<Value> united(Tokens tokens, int depth) const {
        Value result{.kind = ValueKind::intervals};
        Value set{.kind = ValueKind::collection, .brackets = "{}"};
        for (const Tokens part :
             split_outside(tokens, [](const Token& token) { return token.is_command("cup"); })) {
            const auto value = item(part, depth + 1);
            if (!value) {
                return std::nullopt;
            }
            if (value->kind == ValueKind::collection && value->brackets == "{}") {
                set.items.insert(set.items.end(), value->items.begin(), value->items.end());
            } else if (const auto part_of_line = as_real_set(*value);
                       part_of_line && value->kind != ValueKind::quantity) {
                result.intervals.insert(
                    result.intervals.end(), part_of_line->begin(), part_of_line->end());
            } else {
                return std::nullopt;
            }
        }
        if (result.intervals.empty()) {
            return set;
        }
        const auto points = as_real_set(set);
        if (!points) {
            return std::nullopt;
        }
        result.intervals.insert(result.intervals.end(), points->begin(), points->end());
        result.intervals = merged(std::move(result.intervals));
        return result;
    }

    /// "\mathbb{R} \setminus \{0\}", "(0,5) - \{1, 2\}", "all real numbers except 0".
    std::optional<Value> without_part(Tokens tokens, std::size_t sign, int depth) const {
        const Tokens base = tokens.first(sign);
        const auto whole = base.size() == 1 && base.front().is(TokenKind::letter, "R")
                               ? std::optional(all_reals())
                               : item(base, depth + 1);
        const auto part = list(tokens.subspan(sign + 1), depth + 1);
        const auto left = whole ? as_real_set(*whole) : std::nullopt;
        const auto right = part ? as_real_set(*part) : std::nullopt;
        if (!left || !right || whole->kind == ValueKind::quantity) {
            return std::nullopt;
        }
        Value result{.kind = ValueKind::intervals};
        result.intervals = difference(*left, *right);
        return result;
    }

    /// The place of the sign of a difference of sets; the number of tokens where there is none.
    static std::size_t find_set_difference(Tokens tokens) {
        const std::size_t sign = find_outside(tokens, [](const Token& token) {
            return token.is_command("setminus") ||
                   (token.kind == TokenKind::word &&
                    (lower(token.text) == "except" || lower(token.text) == "excluding"));
        });
        if (sign < tokens.size() || tokens.empty()) {
            return sign;
        }
        const std::size_t minus = find_outside(tokens, [&tokens](const Token& token) {
            return token.is_symbol("-") && &token != tokens.data();
        });
        const bool takes_set = minus + 1 < tokens.size() && tokens[minus + 1].is_symbol("\\{");
        return takes_set ? minus : tokens.size();
    }

    std::optional<Value> bracketed(Tokens tokens, int depth) const {
        const std::string open = tokens.front().text;
        const std::string close = tokens.back().text;
        Tokens inside = tokens.subspan(1, tokens.size() - 2);
        const bool is_set = open == "\\{";
        if (is_set) {
            // {x | x > 2} and {x : x > 2}
            const std::size_t bar = find_outside(inside, [](const Token& token) {
                return token.is_symbol("|") || token.is_symbol(":") || token.is_command("mid");
            });
            if (bar + 1 < inside.size() && has_relation(inside.subspan(bar + 1))) {
                return list(inside.subspan(bar + 1), depth + 1);
            }
        }
        const auto is_separator = [](const Token& token) {
            return token.is_symbol(",") || token.is_symbol(";");
        };
        const std::vector<Tokens> parts = split_outside(inside, is_separator);
        if (parts.size() == 1 && !is_set && open == "(" && close == ")") {
            // Brackets around a single value.
            return find_outside(inside, is_separator) == inside.size()
                       ? plain_or_list(tokens, inside, depth)
                       : std::nullopt;
        }
        if (parts.size() > largest_collection || (parts.empty() && !is_set)) {
            return std::nullopt;
        }
        Value result{.kind = ValueKind::collection};
        for (const Tokens part : parts) {
            auto value = item(part, depth + 1);
            if (!value) {
                return std::nullopt;
            }
            if (is_set) {
                append(result, std::move(*value));
            } else {
                result.names.push_back(value->label);
                result.items.push_back(std::move(*value));
            }
        }
        result.brackets = is_set || open == "{" ? "{}" : open == "langle" ? "<>" : open + close;
        return result;
    }

    std::optional<Value> plain_or_list(Tokens tokens, Tokens inside, int depth) const {
        auto value = plain(tokens, depth);
        return value ? value : item(inside, depth + 1);
    }

    std::optional<Value> plain(Tokens tokens, int depth) const {
        const auto is_colon = [](const Token& token) { return token.is_symbol(":"); };
        if (find_outside(tokens, is_colon) < tokens.size()) {
            Value result{.kind = ValueKind::ratio};
            for (const Tokens part : split_outside(tokens, is_colon)) {
                auto value = item(part, depth + 1);
                if (!value || value->kind != ValueKind::quantity) {
                    return std::nullopt;
                }
                result.items.push_back(std::move(*value));
            }
            return result.items.size() > 1 ? std::optional(std::move(result)) : std::nullopt;
        }
        return read_quantity(tokens);
    }
};

}  // namespace

std::optional<Value> read_value(Tokens tokens) {
    const std::vector<Token> numbers = with_number_words(without_remark(without_modulus(tokens)));
    const std::vector<Token> prepared = with_round_brackets(without_braces(numbers));
    return Reader().list(prepared, 0);
}

bool is_negation(const std::string& word) {
    constexpr auto words = std::to_array<std::string_view>({"not",
                                                            "no",
                                                            "neither",
                                                            "nor",
                                                            "never",
                                                            "none",
                                                            "cannot",
                                                            "isn't",
                                                            "aren't",
                                                            "doesn't",
                                                            "don't",
                                                            "wasn't",
                                                            "non",
                                                            "can't",
                                                            "without",
                                                            "impossible",
                                                            "except"});
    return contains(words, lower(word));
}

}  // namespace anamnesis::eval::grading
