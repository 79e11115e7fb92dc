// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "anamnesis/language/language_model.hpp"

#include "byte_pair_merge.hpp"
#include "vocabulary.hpp"

namespace anamnesis::language {

/// What a piece of text becomes: the last step of an encoding.
///
/// Threads: `encode` may run in several at once.
class PieceModel {
public:
    virtual ~PieceModel() = default;
    /// Appends the tokens of `piece`; `scratch` is memory to work in.
    virtual void encode(std::string_view piece,
                        std::vector<TokenId>& scratch,
                        std::vector<TokenId>& result) const = 0;
};

/// The tokens of single bytes, -1 where there is none.
using ByteTokens = std::array<TokenId, 256>;

struct BytePairOptions {
    bool is_byte_level = true;    ///< pieces are bytes, else characters
    bool ignores_merges = false;  ///< a piece that is a token is that token
    bool falls_back = false;      ///< characters without a token become their bytes' tokens
    TokenId unknown = -1;         ///< for what has no token; -1: it is left out
    bool fuses_unknown = false;   ///< neighbours without a token are one unknown
};

/// A byte-pair encoding. All arguments but the options must outlive it.
std::unique_ptr<PieceModel> make_byte_pair_model(const Vocabulary& vocabulary,
                                                 const BytePairMerges& merges,
                                                 const ByteTokens& bytes,
                                                 const BytePairOptions& options);

/// A token that two neighbours may become whose texts together are its own.
struct TextPair {
    TokenId token = 0;
    std::uint32_t rank = 0;  ///< the lowest goes first, the leftmost of equals
    bool is_unused = false;  ///< may be merged further, but is taken apart in the end
};

/// A byte-pair encoding of characters by the texts of pairs, as SentencePiece does it: neighbours
/// may be characters that are no token. All arguments but the options must outlive it.
std::unique_ptr<PieceModel> make_text_pair_model(const Vocabulary& vocabulary,
                                                 std::span<const TextPair> pairs,
                                                 const ByteTokens& bytes,
                                                 const BytePairOptions& options);

struct UnigramOptions {
    std::vector<double> scores{};  ///< ln p of each token by its id
    TokenId unknown = -1;
    bool falls_back = false;
    std::vector<TokenId> matched{};         ///< the tokens that text may become; none: all
    std::optional<double> unknown_score{};  ///< absent: the lowest score less ten
    /// Sums have float32's precision, and what is unknown is never looked up whole.
    bool is_sentence_piece = false;
};

/// The most probable cut of a piece into tokens (Kudo 2018), by dynamic programming.
/// Errors: `malformed` for a vocabulary without an unknown token.
std::unique_ptr<PieceModel> make_unigram_model(const Vocabulary& vocabulary,
                                               const ByteTokens& bytes,
                                               const UnigramOptions& options);

/// A piece is a token, or `unknown`.
std::unique_ptr<PieceModel> make_word_model(const Vocabulary& vocabulary, TokenId unknown);

}  // namespace anamnesis::language
