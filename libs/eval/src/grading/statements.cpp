// SPDX-License-Identifier: Apache-2.0
#include "grading/statements.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "grading/characters.hpp"
#include "grading/dollar_signs.hpp"
#include "grading/formulas.hpp"
#include "grading/sentence_numbers.hpp"
#include "grading/tokens.hpp"
#include "grading/value.hpp"
#include "grading/word_list.hpp"

namespace anamnesis::eval::grading {
namespace {

/// Sentences beyond this are no answers; the work stays bounded.
constexpr std::size_t longest_sentence = 4'000;

std::string_view strip_decoration(std::string_view text) {
    const auto is_decoration = [](char c) {
        return is_space(c) || c == '*' || c == '_' || c == '#' || c == '>' || c == '"';
    };
    while (!text.empty() && is_decoration(text.front())) {
        text.remove_prefix(1);
    }
    while (!text.empty() && (is_decoration(text.back()) || text.back() == '`')) {
        text.remove_suffix(1);
    }
    return text;
}

/// "Mar. 5", "Rs. 500", "5. March": a full stop at `place` that ends no sentence.
bool is_abbreviation(std::string_view text, std::size_t place) {
    constexpr auto cut = std::to_array<std::string_view>({"jan",
                                                          "feb",
                                                          "mar",
                                                          "apr",
                                                          "jun",
                                                          "jul",
                                                          "aug",
                                                          "sep",
                                                          "sept",
                                                          "oct",
                                                          "nov",
                                                          "dec",
                                                          "rs",
                                                          "approx"});
    std::size_t begin = place;
    while (begin > 0 && place - begin < 8 && is_letter(text[begin - 1])) {
        --begin;
    }
    const std::string_view rest = trim(text.substr(place + 1, 16));
    if (begin == place) {
        return place > 0 && is_digit(text[place - 1]) && rest.size() >= 3 &&
               contains(cut, lower(rest.substr(0, 3)));
    }
    return !rest.empty() && is_digit(rest.front()) &&
           contains(cut, lower(text.substr(begin, place - begin)));
}

/// A place after the sentence that begins `text`: at a line's end, or after ". ", "! ", "? ".
std::size_t sentence_end(std::string_view text) {
    bool is_formula = false;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const char c = text[i];
        if (c == '\n') {
            return i;
        }
        if (c == '\\' && i + 1 < text.size()) {
            is_formula = text[i + 1] == '(' || text[i + 1] == '['   ? true
                         : text[i + 1] == ')' || text[i + 1] == ']' ? false
                                                                    : is_formula;
            ++i;
        } else if (c == '$') {
            is_formula = !is_formula;
        } else if (!is_formula && (c == '.' || c == '!' || c == '?') &&
                   (i + 1 == text.size() || is_space(text[i + 1]) || text[i + 1] == '*') &&
                   !is_abbreviation(text, i)) {
            return i + 1;
        }
    }
    return text.size();
}

/// The first line that holds something, displayed formulas as one line.
std::string first_lines(std::string_view text) {
    std::string result;
    bool is_display = false;
    for (std::size_t i = 0; i < text.size() && result.size() < longest_sentence; ++i) {
        if (text.substr(i).starts_with("\\[") || text.substr(i).starts_with("\\]")) {
            is_display = text[i + 1] == '[';
            result += '$';
            ++i;
        } else if (text.substr(i).starts_with("$$")) {
            is_display = !is_display;
            result += '$';
            ++i;
        } else if (text[i] != '\n') {
            result += text[i];
        } else if (is_display) {
            result += ' ';
        } else if (!strip_decoration(result).empty()) {
            break;
        } else {
            result.clear();
        }
    }
    return result;
}

/// Where the words after "answer" lead to its value; empty where they do not.
std::optional<std::size_t> value_place(std::string_view lowered, std::size_t after) {
    std::size_t position = after;
    const auto skip = [&](std::string_view characters) {
        while (position < lowered.size() &&
               characters.find(lowered[position]) != std::string_view::npos) {
            ++position;
        }
    };
    if (position < lowered.size() && lowered[position] == 's') {
        ++position;
    }
    skip("*_ ");
    constexpr auto verbs = std::to_array<std::string_view>({"is:",
                                                            "is ",
                                                            "is\n",
                                                            "are ",
                                                            "are:",
                                                            "would be ",
                                                            "will be ",
                                                            "should be ",
                                                            "to the problem is ",
                                                            "to the question is ",
                                                            ":",
                                                            "="});
    for (const std::string_view verb : verbs) {
        if (lowered.substr(position).starts_with(verb)) {
            position += verb.size();
            skip(":*_ ");
            return position;
        }
    }
    // A heading "Final Answer" on a line of its own.
    const bool is_heading = after >= 12 && lowered.substr(after - 12, 12) == "final answer";
    return is_heading && position < lowered.size() && lowered[position] == '\n'
               ? std::optional(position)
               : std::nullopt;
}

/// A statement that goes on where the text ends.
bool breaks_off(std::string_view sentence) {
    constexpr auto open_words = std::to_array<std::string_view>(
        {"is",   "by",    "the",    "a",   "an",   "of",   "and",  "to",   "are", "be",
         "that", "we",    "than",   "so",  "but",  "wait", "then", "with", "for", "if",
         "or",   "in",    "on",     "at",  "from", "=",    "+",    "-",    "*",   "/",
         "(",    "times", "equals", "let", "this", "each", "has"});
    const std::size_t space = sentence.find_last_of(" \t");
    const std::string word =
        lower(sentence.substr(space == std::string_view::npos ? 0 : space + 1));
    return contains(open_words, word) || word.ends_with('=') || word.ends_with('+') ||
           word.ends_with('(');
}

/// "A" as a whole line and "Option A" name a choice. After another sentence of the line it is the
/// article of one that was cut.
bool names_choice_a(std::string_view sentence, std::string_view line) {
    return sentence.ends_with(" A") || (sentence == "A" && strip_decoration(line) == "A");
}

bool is_readable(std::string_view text) {
    return read_value(tokenise(text)).has_value();
}

/// "0.333...": the full stops are part of the number.
bool ends_in_repetition(std::string_view text) {
    return text.size() > 3 && text.ends_with("...") && is_digit(text[text.size() - 4]);
}

/// "12, attained at x=3" without what begins with a word after a comma.
std::string_view without_remark(std::string_view text) {
    for (std::size_t comma = text.find(", "); comma != std::string_view::npos;
         comma = text.find(", ", comma + 1)) {
        const std::string_view word = text.substr(comma + 2, 3);
        if (word.size() == 3 && std::ranges::all_of(word, is_letter) && word != "and") {
            return text.substr(0, comma);
        }
    }
    return text;
}

/// "The price is $36, which is 4 more" reads as a list of two, but is prose.
bool is_list_in_prose(std::string_view text) {
    const std::vector<Token> tokens = tokenise(text);
    const auto value = read_value(tokens);
    return value && value->kind == ValueKind::collection && value->brackets.empty() &&
           std::ranges::count_if(tokens, [](const Token& token) {
               return token.kind == TokenKind::word && token.text.size() > 3;
           }) > 1;
}

}  // namespace

std::optional<Statement> find_answer_line(std::string_view text) {
    const std::string lowered = lower(text);
    std::size_t at = find_last(lowered, "answer");
    while (at != std::string::npos) {
        if (const auto place = value_place(lowered, at + 6)) {
            const std::string line = with_money_escaped(first_lines(text.substr(*place)));
            std::string sentence(
                strip_decoration(std::string_view(line).substr(0, sentence_end(line))));
            if (!sentence.empty()) {
                return Statement{*place, std::move(sentence)};
            }
        }
        at = find_last(std::string_view(lowered).substr(0, at), "answer");
    }
    return std::nullopt;
}

std::optional<Statement> find_marks(std::string_view text) {
    const std::size_t four = find_last(text, "####");
    std::size_t place = four == std::string_view::npos ? four : four + 4;
    if (four == std::string_view::npos) {
        const std::size_t three = find_last(text, "###");
        const bool is_last_line =
            three != std::string_view::npos && text.find('\n', three) == std::string_view::npos;
        if (!is_last_line) {
            return std::nullopt;
        }
        place = three + 3;
    }
    const std::size_t end = std::min(text.find('\n', place), text.size());
    const std::string line =
        with_money_escaped(text.substr(place, std::min(end - place, longest_sentence)));
    std::string sentence(strip_decoration(line));
    if (sentence.empty() || (four == std::string_view::npos && !is_readable(sentence))) {
        return std::nullopt;
    }
    return Statement{place, std::move(sentence)};
}

std::optional<Statement> find_last_sentence(std::string_view text) {
    std::string_view rest = text;
    while (!rest.empty() && (is_space(rest.back()) || rest.back() == '*')) {
        rest.remove_suffix(1);
    }
    // A displayed formula at the end is one line.
    std::size_t begin = rest.rfind('\n');
    for (const std::string_view close : {std::string_view("\\]"), std::string_view("$$")}) {
        if (rest.ends_with(close)) {
            begin = rest.rfind(close == "$$" ? "$$" : "\\[", rest.size() - 3);
            begin =
                begin == std::string_view::npos || begin == 0 ? std::string_view::npos : begin - 1;
        }
    }
    begin = begin == std::string_view::npos ? 0 : begin + 1;
    begin = std::max(begin, rest.size() - std::min(rest.size(), longest_sentence));
    const std::string line = with_money_escaped(first_lines(rest.substr(begin)));
    std::string_view sentence = line;
    while (true) {
        const std::size_t end = sentence_end(sentence);
        const std::string_view next = strip_decoration(sentence.substr(end));
        if (next.empty()) {
            break;
        }
        sentence = next;
    }
    std::string result(strip_decoration(sentence));
    if (result.empty() || (breaks_off(result) && !names_choice_a(result, line))) {
        return std::nullopt;
    }
    return Statement{begin, std::move(result)};
}

Statement whole_statement(std::string_view text) {
    const std::string line =
        with_money_escaped(text.substr(0, std::min(text.size(), longest_sentence)));
    return {.begin = 0, .sentence = std::string(strip_decoration(line))};
}

std::string value_of_sentence(std::string_view sentence,
                              bool takes_first,
                              bool may_search_numbers) {
    const std::vector<Formula> formulas = find_formulas(sentence);
    const bool begins_with_number =
        !sentence.empty() &&
        (is_digit(sentence.front()) || sentence.starts_with("\\$") || sentence.front() == '-');
    if (!formulas.empty() && !(takes_first && begins_with_number)) {
        return joined_formulas(
            sentence, formulas, takes_first ? 0 : find_stated_formula(sentence, formulas));
    }
    std::string_view text = strip_decoration(sentence);
    while (!text.empty() && !ends_in_repetition(text) &&
           (text.back() == '.' || text.back() == '!' || text.back() == '?')) {
        text.remove_suffix(1);
    }
    if (is_readable(text) && !is_list_in_prose(text)) {
        return std::string(text);
    }
    if (may_search_numbers) {
        if (const auto number = stated_number(text)) {
            return *number;
        }
    }
    // "The probability is 3/56."
    for (const std::string_view verb :
         {std::string_view(" is "), std::string_view(" are "), std::string_view(" equals ")}) {
        const std::size_t at = text.rfind(verb);
        if (at == std::string_view::npos) {
            continue;
        }
        const std::string_view tail = without_remark(text.substr(at + verb.size()));
        if (is_readable(tail)) {
            return std::string(tail);
        }
    }
    return std::string(text);
}

}  // namespace anamnesis::eval::grading
