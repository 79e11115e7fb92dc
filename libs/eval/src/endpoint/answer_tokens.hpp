// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "anamnesis/base/json.hpp"
#include "anamnesis/eval/back_end.hpp"

namespace anamnesis::eval {

/// The tokens of a choice, by whatever of `token_ids` and `logprobs` it has; empty where it has
/// neither. Two forms of `logprobs` are known: that of completions (arrays side by side) and that
/// of chats and llama-server (`content`, an object a token).
/// Errors: `malformed` for entries of another type.
std::vector<AnswerToken> read_answer_tokens(const Json& choice);

}  // namespace anamnesis::eval
