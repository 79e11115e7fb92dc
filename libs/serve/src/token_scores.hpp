// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <span>

#include "job.hpp"

namespace anamnesis::serve {

/// A token under `logits`, with the `alternatives` likeliest tokens, the lower id first among
/// equals. Shapes: logits [vocabulary].   Errors: those of `language::compute_logprob`.
ScoredToken score_token(std::span<const float> logits, TokenId token, std::size_t alternatives);

}  // namespace anamnesis::serve
