// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <string_view>

#include "character_map.hpp"
#include "sentence_piece_file.hpp"
#include "text_trie.hpp"

namespace anamnesis::language {

/// Text as a SentencePiece model reads it: characters replaced, spaces counted and marked.
///
/// Source: sentencepiece 0.2.3, normalizer.cc.
class SentencePieceNormaliser {
public:
    /// Errors: those of `CharacterMap`.
    explicit SentencePieceNormaliser(const SentencePieceFile& file);

    /// `may_begin`: the dummy prefix is put before the text, if the model has one. The result is
    /// well-formed.   Errors: those of `CharacterMap::find_longest`.
    std::string normalise(std::string_view text, bool may_begin) const;

private:
    /// What the beginning of a text becomes.
    struct Step {
        std::size_t length = 0;  ///< bytes read
        std::string_view text{};
    };
    Step read_step(std::string_view text) const;
    std::size_t skip_spaces(std::string_view text) const;
    std::size_t plain_stretch(std::string_view text, std::size_t begin) const;
    void append(std::string& result, std::string_view text) const;

    CharacterMap characters_;
    TextTrie user_defined_;             ///< read as they are
    std::array<bool, 256> is_plain_{};  ///< ASCII that nothing replaces and that is no space
    bool adds_dummy_prefix_;
    bool removes_extra_spaces_;
    std::string_view space_;
};

}  // namespace anamnesis::language
