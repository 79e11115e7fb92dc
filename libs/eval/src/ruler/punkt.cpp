// SPDX-License-Identifier: Apache-2.0
#include "ruler/punkt.hpp"

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/eval/unicode.hpp"
#include "anamnesis/language/utf8.hpp"

#include "ruler/punkt_words.hpp"
#include "ruler_data.hpp"

namespace anamnesis::eval {
namespace {

/// Where training saw a word: in the middle of a sentence, at its beginning; upper or lower case.
constexpr unsigned middle_upper = 1U << 2U;
constexpr unsigned any_upper = (1U << 1U) | (1U << 2U) | (1U << 3U);
constexpr unsigned begin_lower = 1U << 4U;
constexpr unsigned any_lower = (1U << 4U) | (1U << 5U) | (1U << 6U);

constexpr std::string_view number_type = "##number##";

/// `^-?[\.,]?\d[\d,\.-]*\.?$`
bool is_number(std::u32string_view token) {
    std::size_t at = 0;
    at += !token.empty() && token[0] == U'-' ? 1U : 0U;
    at += at < token.size() && (token[at] == U'.' || token[at] == U',') ? 1U : 0U;
    if (at >= token.size() || !is_python_digit(token[at])) {
        return false;
    }
    return std::ranges::all_of(token.substr(at), [](char32_t code) {
        return is_python_digit(code) || code == U',' || code == U'.' || code == U'-';
    });
}

std::string to_utf8(std::u32string_view text) {
    std::string result;
    for (const char32_t code : text) {
        language::append_utf8(result, code);
    }
    return result;
}

bool is_sentence_end(char32_t code) {
    return code == U'.' || code == U'?' || code == U'!';
}

}  // namespace

struct Punkt::Token {
    explicit Token(std::u32string_view word)
        : lower(python_lower(to_utf8(word))),
          type(is_number(word) ? std::string(number_type) : lower),
          is_end(word.size() == 1 && is_sentence_end(word[0])),
          is_punctuation(word.size() == 1 &&
                         std::u32string_view(U";:,.!?").find(word[0]) != std::u32string_view::npos),
          is_ellipsis(word.size() >= 2 &&
                      word.find_first_not_of(U'.') == std::u32string_view::npos),
          is_initial(word.size() == 2 && word[1] == U'.' && is_python_word_letter(word[0])),
          is_upper(is_python_upper(word[0])),
          is_lower(is_python_lower(word[0])) {}

    bool ends_in_period() const { return lower.ends_with('.'); }
    std::string type_without_period() const {
        return type.size() > 1 && type.ends_with('.') ? type.substr(0, type.size() - 1) : type;
    }
    std::string type_without_sentence_period() const {
        return is_break ? type_without_period() : type;
    }

    std::string lower;
    std::string type;
    bool is_end;
    bool is_punctuation;
    bool is_ellipsis;
    bool is_initial;
    bool is_upper;
    bool is_lower;
    bool is_break = false;
    bool is_abbreviation = false;
    bool has_ellipsis = false;
};

Punkt Punkt::english() {
    return Punkt(embedded::punkt_english());
}

Punkt::Punkt(std::string_view parameters) {
    std::size_t number = 0;
    for (const std::string& line : split(parameters, '\n')) {
        ++number;
        if (line.empty()) {
            continue;
        }
        std::vector<std::string> field = split(line, '\t');
        unsigned flags = 0;
        if (field[0] == "abbreviation" && field.size() == 2) {
            abbreviations_.insert(std::move(field[1]));
        } else if (field[0] == "collocation" && field.size() == 3) {
            collocations_.insert(field[1] + '\t' + field[2]);
        } else if (field[0] == "starter" && field.size() == 2) {
            starters_.insert(std::move(field[1]));
        } else if (field[0] == "word" && field.size() == 3 &&
                   std::from_chars(field[2].data(), field[2].data() + field[2].size(), flags).ec ==
                       std::errc{}) {
            contexts_.emplace(std::move(field[1]), flags);
        } else {
            throw Error(ErrorKind::malformed,
                        format("line {} of a Punkt model is {}", number, in_quotes(line)));
        }
    }
}

unsigned Punkt::find_contexts(const std::string& type) const {
    const auto found = contexts_.find(type);
    return found == contexts_.end() ? 0U : found->second;
}

Punkt::Verdict Punkt::begins_by_spelling(const Token& token) const {
    if (token.is_punctuation) {
        return Verdict::no;
    }
    const unsigned contexts = find_contexts(token.type_without_sentence_period());
    if (token.is_upper && (contexts & any_lower) != 0 && (contexts & middle_upper) == 0) {
        return Verdict::yes;
    }
    if (token.is_lower && ((contexts & any_upper) != 0 || (contexts & begin_lower) == 0)) {
        return Verdict::no;
    }
    return Verdict::unknown;
}

void Punkt::judge_alone(Token& token) const {
    if (token.is_end) {
        token.is_break = true;
    } else if (token.is_ellipsis) {
        token.has_ellipsis = true;
    } else if (token.ends_in_period() && !token.lower.ends_with("..")) {
        const std::string word = token.lower.substr(0, token.lower.size() - 1);
        const std::string last = word.substr(word.rfind('-') + 1);
        if (abbreviations_.contains(word) || abbreviations_.contains(last)) {
            token.is_abbreviation = true;
        } else {
            token.is_break = true;
        }
    }
}

void Punkt::judge_pair(Token& token, const Token& next) const {
    if (!token.ends_in_period()) {
        return;
    }
    const std::string type = token.type_without_period();
    const std::string next_type = next.type_without_sentence_period();
    if (collocations_.contains(type + '\t' + next_type)) {
        token.is_break = false;
        token.is_abbreviation = true;
        return;
    }
    if ((token.is_abbreviation || token.has_ellipsis) && !token.is_initial) {
        if (begins_by_spelling(next) == Verdict::yes ||
            (next.is_upper && starters_.contains(next_type))) {
            token.is_break = true;
            return;
        }
    }
    if (token.is_initial || type == number_type) {
        const Verdict verdict = begins_by_spelling(next);
        const bool is_name = verdict == Verdict::unknown && token.is_initial && next.is_upper &&
                             (find_contexts(next_type) & any_lower) == 0;
        if (verdict == Verdict::no || is_name) {
            token.is_break = false;
            token.is_abbreviation = true;
        }
    }
}

bool Punkt::contains_break(std::u32string_view context) const {
    std::vector<Token> tokens;
    for (const std::u32string_view word : punkt_words(context)) {
        tokens.emplace_back(word);
        judge_alone(tokens.back());
    }
    for (std::size_t i = 0; i + 1 < tokens.size(); ++i) {
        judge_pair(tokens[i], tokens[i + 1]);
        if (tokens[i].is_break) {
            return true;
        }
    }
    return false;
}

namespace {

/// A full stop, question or exclamation mark that may end a sentence.
struct Candidate {
    std::size_t mark = 0;
    std::size_t after_end = 0;                // end of the token after it
    std::optional<std::size_t> next_begin{};  // of that token, where white space lies between
};

std::vector<Candidate> candidates_in(std::u32string_view text) {
    std::vector<Candidate> found;
    for (std::size_t at = 0; at + 1 < text.size(); ++at) {
        if (!is_sentence_end(text[at])) {
            continue;
        }
        if (is_punkt_non_word(text[at + 1])) {
            found.push_back({.mark = at, .after_end = at + 2});
            continue;
        }
        std::size_t begin = at + 1;
        while (begin < text.size() && is_python_space(text[begin])) {
            ++begin;
        }
        if (begin == at + 1 || begin == text.size()) {
            continue;
        }
        std::size_t end = begin;
        while (end < text.size() && !is_python_space(text[end])) {
            ++end;
        }
        found.push_back({.mark = at, .after_end = end, .next_begin = begin});
    }
    return found;
}

/// Where the word that ends at `end` begins, looked for down to `limit`. White space at `limit`
/// itself counts as none, as in the original.
std::optional<std::size_t> word_begin(std::u32string_view text,
                                      std::size_t limit,
                                      std::size_t end) {
    for (std::size_t at = end; at-- > limit + 1;) {
        if (text[at] == U' ' || (text[at] >= U'\t' && text[at] <= U'\r')) {
            return at + 1;
        }
    }
    return std::nullopt;
}

/// Closing quotes and brackets at the beginning of a sentence belong to the one before.
/// Gives the length that moves, and the length of white space after it.
std::pair<std::size_t, std::size_t> closing_run(std::u32string_view text) {
    constexpr std::u32string_view closers = U"'\")]}";
    std::size_t at = 0;
    while (at < text.size() && closers.find(text[at]) != std::u32string_view::npos) {
        ++at;
        std::size_t space = at;
        while (space < text.size() && is_python_space(text[space])) {
            ++space;
        }
        if (space > at || text.substr(at).starts_with(U"--") || at == text.size()) {
            return {at, space - at};
        }
    }
    return {0, 0};
}

std::vector<Punkt::Span> realigned(std::u32string_view text,
                                   const std::vector<Punkt::Span>& slices) {
    std::vector<Punkt::Span> result;
    std::size_t moved = 0;
    for (std::size_t i = 0; i < slices.size(); ++i) {
        Punkt::Span span{slices[i].begin + moved, slices[i].end};
        moved = 0;
        if (i + 1 < slices.size()) {
            const auto& next = slices[i + 1];
            const auto [length, space] =
                closing_run(text.substr(next.begin, next.end - next.begin));
            if (length > 0) {
                span.end = next.begin + length;
                moved = length + space;
                result.push_back(span);
                continue;
            }
        }
        if (span.begin < span.end) {
            result.push_back(span);
        }
    }
    return result;
}

}  // namespace

std::vector<Punkt::Span> Punkt::sentences(std::u32string_view text) const {
    std::vector<Span> slices;
    std::size_t begin = 0;
    const auto judge = [&](const Candidate& candidate, std::size_t word) {
        if (contains_break(text.substr(word, candidate.after_end - word))) {
            slices.push_back({begin, candidate.mark + 1});
            begin = candidate.next_begin.value_or(candidate.mark + 1);
        }
    };
    // A candidate whose word holds the mark of the one before replaces it.
    Span previous{};
    const Candidate* held = nullptr;
    const std::vector<Candidate> candidates = candidates_in(text);
    for (const Candidate& candidate : candidates) {
        const std::size_t word =
            word_begin(text, previous.end, candidate.mark).value_or(previous.begin);
        if (held != nullptr && previous.end <= word) {
            judge(*held, previous.begin);
        }
        held = &candidate;
        previous = {word, candidate.mark};
    }
    if (held != nullptr) {
        judge(*held, previous.begin);
    }
    std::size_t end = text.size();
    while (end > 0 && is_python_space(text[end - 1])) {
        --end;
    }
    slices.push_back({begin, end});
    return realigned(text, slices);
}

}  // namespace anamnesis::eval
