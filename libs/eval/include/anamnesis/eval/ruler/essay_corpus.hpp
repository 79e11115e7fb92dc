// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "anamnesis/eval/ruler/counted_text.hpp"

namespace anamnesis::eval {

/// Running text as RULER cuts it: white space collapsed, split into words, the words repeated when
/// more are asked for, sentences as NLTK's Punkt finds them and joined by single spaces.
///
/// Source: NVIDIA/RULER c3f5e3b, scripts/data/synthetic/niah.py.
class EssayCorpus {
public:
    /// The text that comes with the project: Matthew to Acts, King James Version. Not RULER's
    /// corpus: results on it are RULER-style.
    static EssayCorpus built_in(const TokenCounter& counter);

    /// A text file, or JSON with a member `text` (RULER's PaulGrahamEssays.json).
    /// Errors: `malformed` for JSON without it or a text without words.
    static EssayCorpus open(const std::filesystem::path& path, const TokenCounter& counter);

    EssayCorpus(std::string_view text, std::string name, const TokenCounter& counter);

    /// The first words as sentences.
    struct Cut {
        std::size_t sentences = 0;
        std::size_t bytes = 0;  ///< of the joined sentences
    };
    Cut cut(std::size_t words);

    /// Sentences [begin, end) of a cut, joined: a part of `text()`, empty where begin == end.
    PromptPart part(const Cut& cut, std::size_t begin, std::size_t end) const;

    std::size_t words() const { return words_.size(); }
    const std::string& name() const& { return name_; }
    const std::string& name() const&& = delete;
    /// SHA-256 of the text as it was given.
    const std::string& digest() const& { return digest_; }
    const std::string& digest() const&& = delete;

private:
    void extend(std::size_t words);

    std::string name_;
    std::string digest_;
    TokenCounter counter_;
    std::vector<std::string> words_;
    // Of as many copies as were needed so far. Parts that were given out keep their text.
    std::vector<std::uint32_t> word_ends_;        // of each word, bytes of the text
    std::vector<std::uint32_t> sentence_begins_;  // bytes of the text
    std::vector<std::uint32_t> joined_begins_;    // of the same sentences, bytes of the joined text
    std::vector<std::unique_ptr<const CountedText>> joined_;
};

}  // namespace anamnesis::eval
