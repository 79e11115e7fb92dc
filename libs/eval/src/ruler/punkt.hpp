// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

namespace anamnesis::eval {

/// Sentences as NLTK's `sent_tokenize` finds them.
///
/// Source: Kiss & Strunk 2006, "Unsupervised Multilingual Sentence Boundary Detection"; the order
/// of
///         the decisions is that of nltk.tokenize.punkt 3.10.
class Punkt {
public:
    /// The English model.
    static Punkt english();

    /// One entry a line: a kind (abbreviation, collocation, starter, word) and its values,
    /// separated by tabs. Errors: `malformed`, naming the line.
    explicit Punkt(std::string_view parameters);

    struct Span {
        std::size_t begin = 0;
        std::size_t end = 0;
        bool operator==(const Span&) const = default;
    };

    /// Spans of characters, in order; white space between sentences belongs to none.
    std::vector<Span> sentences(std::u32string_view text) const;

private:
    struct Token;

    bool contains_break(std::u32string_view context) const;
    void judge_alone(Token& token) const;
    void judge_pair(Token& token, const Token& next) const;
    enum class Verdict : std::uint8_t { yes, no, unknown };
    /// Does the spelling of `token` say that a sentence begins with it?
    Verdict begins_by_spelling(const Token& token) const;
    unsigned find_contexts(const std::string& type) const;

    std::unordered_set<std::string> abbreviations_;
    std::unordered_set<std::string> collocations_;  // "first\tsecond"
    std::unordered_set<std::string> starters_;
    std::unordered_map<std::string, unsigned> contexts_;
};

}  // namespace anamnesis::eval
