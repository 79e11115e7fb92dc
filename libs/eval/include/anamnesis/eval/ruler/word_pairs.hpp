// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace anamnesis::eval {

/// RULER's vocabulary of words: every "adjective-noun" of two lists, without repeats, in code point
/// order. Six million pairs are not held: only adjectives whose pairs interleave ("blue" and
/// "blue-eyed") are merged.
class WordPairs {
public:
    /// The lists of wonderwords 3.0.1, which RULER takes.
    static WordPairs wonderwords();

    /// One word a line.
    WordPairs(std::string_view adjectives, std::string_view nouns);

    std::size_t size() const { return size_; }

    /// The pair at `position` < size().
    std::string at(std::size_t position) const;

private:
    /// Adjectives whose pairs interleave: one alone, or several with their pairs sorted.
    struct Group {
        std::size_t begin = 0;           // position of the first pair
        std::string adjective;           // of a group of one
        std::vector<std::string> pairs;  // of a group of several
    };
    std::vector<std::string> nouns_;
    std::vector<Group> groups_;
    std::size_t size_ = 0;
};

}  // namespace anamnesis::eval
