// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "anamnesis/language/language_model.hpp"
#include "anamnesis/language/tokenizer.hpp"

#include "text_joiner.hpp"
#include "tokenizer_file.hpp"

namespace anamnesis::language {

/// What tokens add to a text, as a tokenizer's file says.
class TokenTexts {
public:
    explicit TokenTexts(const TokenizerFile& file);

    /// The bytes that a token adds; empty outside the vocabulary.
    std::string_view find_bytes(TokenId token) const;
    bool is_special(TokenId token) const;
    /// Adds a token to a text, unless it is left out.
    void join(TextJoiner& joiner, TokenId token, SpecialTokens treatment) const;

private:
    std::string bytes_{};  // of all tokens, one after the other
    std::vector<std::size_t> ends_{};
    std::vector<bool> special_{};
    std::vector<TokenPart> parts_{};
};

}  // namespace anamnesis::language
