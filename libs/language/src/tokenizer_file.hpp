// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "added_tokens.hpp"
#include "byte_pair_merge.hpp"
#include "vocabulary.hpp"

namespace anamnesis::language {

/// A string that is replaced, or a beginning that is put before a text.
struct Rewrite {
    enum class Kind : std::uint8_t { nfc, prepend, replace };
    Kind kind = Kind::nfc;
    std::string from{};
    std::string to{};
};

/// What a tokenizer's files say, checked.
struct TokenizerFile {
    Vocabulary vocabulary;  ///< with the added tokens
    BytePairMerges merges;
    std::vector<AddedToken> added;
    std::vector<Rewrite> normaliser;
    std::vector<std::string> patterns;
    bool is_byte_level = true;   ///< else characters, with `<0xNN>` for those outside
    bool is_word_level = false;  ///< whole words between spaces; then not byte level
    TokenId unknown = -1;        ///< word level: for words outside the vocabulary
    bool adds_prefix_space = false;
    bool ignores_merges = false;        ///< a piece that is a token is that token
    bool strips_leading_space = false;  ///< when decoding
    std::vector<TokenId> before;        ///< put around a text on request
    std::vector<TokenId> after;
};

/// Errors: see Tokenizer.
TokenizerFile parse_tokenizer_json(std::string_view json);
TokenizerFile read_vocabulary_and_merges(const std::filesystem::path& folder);

}  // namespace anamnesis::language
