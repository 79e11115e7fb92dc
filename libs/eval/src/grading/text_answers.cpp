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
    return length > 0 ? std::optional(tokens[length == 3 ? 1 : 0].text[0]) : std::nullopt;
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

}  // namespace anamnesis::eval::grading
