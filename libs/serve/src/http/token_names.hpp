// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>

#include "anamnesis/base/json.hpp"
#include "anamnesis/language/tokenizer.hpp"

#include "job.hpp"

namespace anamnesis::serve {

/// A token by itself; bytes that are no whole characters as OpenAI's completions write them:
/// "bytes:\xe2\x80".
std::string name_token(const language::Tokenizer& tokenizer, TokenId token);

/// `logprobs` of completions: columns side by side, a row a token. `pieces` are what the tokens add
/// to the text; a token that adds nothing is told by its name. `offset` is where the first one
/// begins in the text, in characters, and moves on. `first` has no score and the first piece:
/// nothing comes before a prompt's first token.
Json make_logprob_columns(const language::Tokenizer& tokenizer,
                          std::span<const std::string> pieces,
                          std::optional<TokenId> first,
                          std::span<const ScoredToken> tokens,
                          std::size_t& offset);

/// `logprobs.content` of chats: an object a token.
Json make_logprob_entries(const language::Tokenizer& tokenizer,
                          std::span<const ScoredToken> tokens);

}  // namespace anamnesis::serve
