// SPDX-License-Identifier: Apache-2.0
#include "grading/text_answers.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "grading/characters.hpp"
#include "grading/tokens.hpp"
#include "grading/value.hpp"
#include "grading/word_list.hpp"

namespace anamnesis::eval::grading {
namespace {

/// Words around an answer that change nothing.
constexpr auto fillers = std::to_array<std::string_view>(
    {"the",     "a",         "an",       "is",      "it",     "it's",      "its",     "due",
     "so",      "answer",    "correct",  "option",  "choice", "direction", "exactly", "toward",
     "towards", "to",        "be",       "that",    "this",   "therefore", "thus",    "hence",
     "final",   "we",        "get",      "have",    "as",     "only",      "simply",  "just",
     "of",      "in",        "are",      "on",      "day",    "student",   "person",  "function",
     "graph",   "curve",     "shape",    "clearly", "going",  "facing",    "true",    "number",
     "there",   "solutions", "solution", "he",      "she",    "was",       "day",     "called",
     "named"});

bool is_choice_letter(const Token& token) {
    return (token.kind == TokenKind::letter || token.kind == TokenKind::word) &&
           token.text.size() == 1 && token.text[0] >= 'A' && token.text[0] <= 'J';
}

bool is_choice_word(const Token& token) {
    constexpr auto words = std::to_array<std::string_view>(
        {"option", "choice", "answer", "the", "is", "correct", "letter", "so", "therefore"});
    return token.kind == TokenKind::word && contains(words, lower(token.text));
}

Tokens without_choice_words(Tokens tokens) {
    while (!tokens.empty() && is_choice_word(tokens.front())) {
        tokens = tokens.subspan(1);
    }
    return tokens;
}

/// How many tokens "(C)", "C)", "C." or "C:" take; 0 where the answer begins otherwise.
std::size_t leading_choice_length(Tokens tokens) {
    if (tokens.size() >= 3 && tokens[0].is_symbol("(") && is_choice_letter(tokens[1]) &&
        tokens[2].is_symbol(")")) {
        return 3;
    }
    if (tokens.size() >= 2 && is_choice_letter(tokens[0]) &&
        (tokens[1].is_symbol(")") || tokens[1].is_symbol(".") || tokens[1].is_symbol(":"))) {
        return 2;
    }
    return 0;
}

/// Whether what follows a letter goes on with it: "(B) + 1" is a sum, "(A) and (C)" are two.
bool is_continued(Tokens rest) {
    constexpr auto words = std::to_array<std::string_view>({"and", "or", "nor"});
    constexpr auto signs =
        std::to_array<std::string_view>({"+", "*", "/", "^", "_", "=", ",", "<", ">"});
    constexpr auto commands = std::to_array<std::string_view>({"times", "cdot", "div", "pm"});
    const Token& next = rest.front();
    // "(B) -12" is a negative value, "(B) - 12" a difference.
    const bool is_difference = next.is_symbol("-") && (rest.size() < 2 || rest[1].has_space_before);
    return is_difference || (next.kind == TokenKind::word && contains(words, lower(next.text))) ||
           (next.kind == TokenKind::symbol && contains(signs, next.text)) ||
           (next.kind == TokenKind::command && contains(commands, next.text));
}

/// Whether the words after a letter give its reason or say what it stands for: "B because …",
/// "B, since …", "B - Mitochondria". "B, C", "B - xy" and "B, or C" go on with the answer.
bool is_explained(Tokens rest) {
    constexpr auto reasons = std::to_array<std::string_view>({"because", "since", "due"});
    constexpr auto short_words =
        std::to_array<std::string_view>({"the", "it", "its", "not", "so", "an", "for", "as"});
    constexpr auto hedges = std::to_array<std::string_view>({"although",
                                                             "though",
                                                             "maybe",
                                                             "perhaps",
                                                             "possibly",
                                                             "either",
                                                             "unless",
                                                             "wait",
                                                             "actually",
                                                             "sorry",
                                                             "rather",
                                                             "also",
                                                             "both"});
    const auto is_word = [&](std::size_t i, const auto& words) {
        return i < rest.size() && rest[i].kind == TokenKind::word &&
               contains(words, lower(rest[i].text));
    };
    if (is_word(0, reasons) || rest.size() < 2) {
        return is_word(0, reasons);
    }
    const bool is_pause = rest[0].is_symbol(",") || rest[0].is_symbol(";") ||
                          (rest[0].is_symbol("-") && rest[1].has_space_before);
    const bool is_dash = rest[0].is_symbol("-");
    const bool is_prose = rest[1].kind == TokenKind::word && rest[1].text.size() > 3;
    const bool is_reason = (is_pause || is_dash) && is_word(1, reasons);
    const bool is_prose_after = is_pause && (is_prose || is_word(1, short_words));
    // Beside another letter prose may choose that one: "B, then C". "B, not C" does not.
    const bool names_one = !names_choices(rest) || lower(rest[1].text) == "not";
    return is_reason || (is_prose_after && names_one && !is_word(1, hedges));
}

/// The letter of "B because …".
std::optional<char> find_explained_choice(Tokens tokens) {
    return tokens.size() > 1 && is_choice_letter(tokens[0]) && is_explained(tokens.subspan(1))
               ? std::optional(tokens[0].text[0])
               : std::nullopt;
}

bool is_proper_name(Tokens gold) {
    return !gold.empty() && !gold.front().text.empty() && is_upper(gold.front().text.front());
}

}  // namespace

std::optional<char> find_choice(Tokens tokens) {
    tokens = without_choice_words(tokens);
    const std::size_t length = leading_choice_length(tokens);
    if (length == tokens.size() && length > 0) {
        return tokens[length == 3 ? 1 : 0].text[0];
    }
    return tokens.size() == 1 && is_choice_letter(tokens[0]) ? std::optional(tokens[0].text[0])
                                                             : std::nullopt;
}

std::optional<char> find_leading_choice(Tokens tokens) {
    if (const auto choice = find_choice(tokens)) {
        return choice;
    }
    tokens = without_choice_words(tokens);
    const std::size_t length = leading_choice_length(tokens);
    return length > 0 ? std::optional(tokens[length == 3 ? 1 : 0].text[0])
                      : find_explained_choice(tokens);
}

std::optional<char> find_marked_choice(Tokens tokens) {
    tokens = without_choice_words(tokens);
    const std::size_t length = leading_choice_length(tokens);
    if (length == 0) {
        // A letter among words alone is no symbol.
        const bool is_letter = tokens.size() == 1 && is_choice_letter(tokens[0]);
        return is_letter && tokens[0].is_text ? std::optional(tokens[0].text[0])
                                              : find_explained_choice(tokens);
    }
    const Token& letter = tokens[length == 3 ? 1 : 0];
    if (length == tokens.size()) {
        return letter.text[0];
    }
    // Only a bracket that was never opened needs no gap: "(B)(12)" is a product, "B:12" a ratio.
    const bool is_enumerated = length == 2 && tokens[1].is_symbol(")");
    const bool is_apart = is_enumerated || letter.is_text || tokens[length].has_space_before;
    return is_apart && !is_continued(tokens.subspan(length)) ? std::optional(letter.text[0])
                                                             : std::nullopt;
}

Tokens without_choice(Tokens tokens) {
    const std::size_t length = leading_choice_length(tokens);
    if (length == 0 || length >= tokens.size()) {
        return tokens;
    }
    // "(A)(B)" and "(a)x" are products.
    const bool is_text = tokens[length == 3 ? 1 : 0].is_text;
    return is_text || tokens[length].has_space_before ? tokens.subspan(length) : tokens;
}

std::vector<std::string> extract_words(Tokens tokens) {
    std::vector<std::string> words;
    for (const Token& token : tokens) {
        if (token.kind == TokenKind::symbol) {
            continue;
        }
        std::string word = lower(token.text);
        if (word != "a" && word != "an" && word != "the") {
            words.push_back(std::move(word));
        }
    }
    return words;
}

bool names_choices(Tokens tokens) {
    return std::ranges::any_of(tokens, is_choice_letter);
}

bool says_the_same(Tokens gold, Tokens answer) {
    const std::vector<std::string> wanted = extract_words(gold);
    const std::vector<std::string> found = extract_words(answer);
    if (wanted.empty() || found.size() < wanted.size()) {
        return false;
    }
    const auto is_equal = [](const std::string& left, const std::string& right) {
        return left == right || left + "s" == right || left == right + "s";
    };
    if (found.size() == wanted.size()) {
        return std::ranges::equal(found, wanted, is_equal);
    }
    const auto place = std::ranges::search(found, wanted);
    if (place.empty()) {
        return false;
    }
    std::vector<std::string> before(found.begin(), place.begin());
    std::vector<std::string> after(place.end(), found.end());
    const auto is_bad = [](const std::string& word) {
        return is_negation(word) || word == "or" || word == "and";
    };
    const auto is_filler = [](const std::string& word) { return contains(fillers, word); };
    if (std::ranges::any_of(before, is_bad)) {
        return false;
    }
    if (std::ranges::all_of(before, is_filler) && std::ranges::all_of(after, is_filler)) {
        return true;
    }
    // A sentence about a person, or one that ends with the answer.
    const bool is_sentence = found.size() >= wanted.size() + 2;
    const bool has_verb = std::ranges::any_of(before, [](const std::string& word) {
        return word == "is" || word == "was" || word == "be" || word == "are";
    });
    if (after.empty()) {
        return is_sentence && has_verb;
    }
    return is_sentence && is_proper_name(gold) && std::ranges::all_of(before, is_filler) &&
           std::ranges::none_of(after, is_bad);
}

bool is_empty_set(Tokens tokens) {
    constexpr auto things = std::to_array<std::string_view>(
        {"solution", "solutions", "root", "roots", "value", "values"});
    constexpr auto kinds = std::to_array<std::string_view>(
        {"real", "such", "possible", "valid", "integer", "integral", "rational", "positive"});
    constexpr auto others = std::to_array<std::string_view>(
        {"the",        "there", "is",   "are",   "equation",  "equations", "system",
         "inequality", "has",   "have", "exist", "exists",    "of",        "x",
         "to",         "for",   "this", "so",    "therefore", "it",        "set"});
    if (tokens.size() == 1 && tokens.front().is_command("emptyset")) {
        return true;
    }
    std::vector<std::string> words;
    for (const Token& token : tokens) {
        if (token.is_command("emptyset") || token.is_symbol("(") || token.is_symbol(")")) {
            continue;  // "no solution (∅)"
        }
        if (token.kind != TokenKind::word && token.kind != TokenKind::letter) {
            return false;
        }
        words.push_back(lower(token.text));
    }
    if (words == std::vector<std::string>{"none"}) {
        return true;
    }
    for (std::size_t i = 0; i + 1 < words.size(); ++i) {
        std::size_t end = i + 1;
        if (words[i] == "empty" && words[end] == "set") {
            ++end;
        } else if (words[i] == "no") {
            while (end < words.size() && contains(kinds, words[end])) {
                ++end;
            }
            if (end == words.size() || !contains(things, words[end])) {
                return false;
            }
            ++end;
        } else if (contains(others, words[i])) {
            continue;
        } else {
            return false;
        }
        return std::all_of(words.begin() + static_cast<std::ptrdiff_t>(end),
                           words.end(),
                           [&](const std::string& word) { return contains(others, word); });
    }
    return false;
}

Tokens without_label(Tokens tokens) {
    constexpr auto leads = std::to_array<std::string_view>(
        {"the", "final", "my", "correct", "so", "therefore", "thus", "hence"});
    constexpr auto names = std::to_array<std::string_view>({"answer", "ans", "result", "solution"});
    const auto is_word = [&](std::size_t i, const auto& words) {
        return i < tokens.size() && tokens[i].kind == TokenKind::word &&
               contains(words, lower(tokens[i].text));
    };
    std::size_t place = 0;
    while (is_word(place, leads)) {
        ++place;
    }
    if (is_word(place, names)) {
        const std::size_t after = place + 1;
        const bool has_sign =
            after < tokens.size() && (tokens[after].is_symbol(":") ||
                                      tokens[after].is_symbol("=") || tokens[after].text == "is");
        return has_sign && after + 1 < tokens.size() ? tokens.subspan(after + 1) : tokens;
    }
    // "Total area: 42"
    place = 0;
    while (place < tokens.size() && tokens[place].kind == TokenKind::word &&
           !is_negation(tokens[place].text)) {
        ++place;
    }
    const bool is_label = place > 0 && place + 1 < tokens.size() && tokens[place].is_symbol(":") &&
                          tokens[place + 1].kind != TokenKind::word;
    return is_label ? tokens.subspan(place + 1) : tokens;
}

}  // namespace anamnesis::eval::grading
