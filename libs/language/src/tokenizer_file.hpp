// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "added_tokens.hpp"
#include "byte_pair_merge.hpp"
#include "piece_model.hpp"
#include "split_stage.hpp"
#include "text_joiner.hpp"
#include "vocabulary.hpp"

namespace anamnesis::language {

class Expression;
class SentencePieceNormaliser;

/// One step of a normaliser.
struct Rewrite {
    enum class Kind : std::uint8_t {
        nfc,
        nfd,
        nfkc,
        nfkd,
        prepend,
        replace,
        match,
        lowercase,
        strip,
        sentence_piece
    };
    Kind kind = Kind::nfc;
    std::string from{};                              ///< of `replace`
    std::shared_ptr<const Expression> expression{};  ///< of `match`
    std::string to{};
    bool strips_left = true;
    bool strips_right = true;
    std::shared_ptr<const SentencePieceNormaliser> sentence_piece{};
    /// Of `sentence_piece`: the dummy prefix comes before each stretch between added tokens, else
    /// only before the whole text.
    bool begins_each_stretch = true;
};

enum class ModelKind : std::uint8_t { byte_pair, text_pair, unigram, word_level };

/// What a tokenizer's files say, checked.
struct TokenizerFile {
    Vocabulary vocabulary;  ///< with the added tokens
    ModelKind model = ModelKind::byte_pair;
    BytePairMerges merges;
    BytePairOptions byte_pair{};
    std::vector<TextPair> text_pairs;
    UnigramOptions unigram{};
    TokenId unknown = -1;  ///< word level: for words outside the vocabulary
    std::vector<AddedToken> added;
    std::vector<Rewrite> normaliser;
    std::vector<SplitStage> stages;
    std::vector<TokenId> unmerged;  ///< found in normalised text, neighbours of no merge

    std::vector<Rewrite> token_rewrites;           ///< of each token's text, when decoding
    bool joins_with_spaces = false;                ///< there is no decoder
    std::map<TokenId, std::string> decoded_texts;  ///< of tokens that decode to another text
    JoinRules joining{};

    std::vector<TokenId> before;  ///< put around a text on request
    std::vector<TokenId> after;

    std::vector<std::string> notes{};  ///< what may be wrong about it, a sentence each
};

/// Errors: see Tokenizer.
TokenizerFile parse_tokenizer_json(std::string_view json);
TokenizerFile read_vocabulary_and_merges(const std::filesystem::path& folder);

}  // namespace anamnesis::language
