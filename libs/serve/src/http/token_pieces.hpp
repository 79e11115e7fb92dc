// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "anamnesis/language/tokenizer.hpp"

#include "job.hpp"

namespace anamnesis::serve {

/// Tells what each token adds to a text, one after the other. Pieces join to the text: a character
/// that several tokens make comes with the last of them, and special tokens add nothing. Only where
/// bytes of several tokens turn out to make no characters may a later piece give again what was
/// given; `cut_text`, which knows the text, has no such exception.
///
/// Owner: the tokenizer must outlive it; it may move.
class TokenPieces {
public:
    /// The text goes on with that of `before`.
    explicit TokenPieces(const language::Tokenizer& tokenizer,
                         std::span<const TokenId> before = {});

    std::string push(TokenId token);
    /// The end of the text, where it is an unfinished character.
    std::string finish();

private:
    std::string without_given(const std::string& certain);

    const language::Tokenizer* tokenizer_;
    language::StreamDecoder decoder_;
    std::string
        bytes_{};  ///< of tokens that the decoder holds back, and that make no character yet
    std::string given_{};  ///< given out already, and still held back by the decoder
};

/// What each of `tokens` adds to `text`, which goes on with the text of `before`. Special tokens
/// may be spelled out in it, and it may end before their text does, as at a stop string. Empty
/// where the text says something else: what a tokenizer reads need not be what was written.
std::optional<std::vector<std::string>> match_tokens(const language::Tokenizer& tokenizer,
                                                     std::span<const TokenId> before,
                                                     std::span<const TokenId> tokens,
                                                     std::string_view text);

/// The same for the text that `tokens` are decoded to, or a beginning of it: pieces that join to
/// it, one for each token.
std::vector<std::string> cut_text(const language::Tokenizer& tokenizer,
                                  std::span<const TokenId> before,
                                  std::span<const TokenId> tokens,
                                  std::string_view text);

}  // namespace anamnesis::serve
