// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "anamnesis/base/random.hpp"
#include "anamnesis/language/language_model.hpp"

namespace anamnesis::language {

/// The numbers that sequence `index` of a batch draws with `seed`, whatever the others do.
Random sampling_stream(std::uint64_t seed, std::size_t index);

/// The next token under `logits`, by temperature, then top-k, then top-p. At temperature 0 the
/// likeliest token, the lowest id among equals; `random` is left alone then.
///
/// Shapes: logits [vocabulary].
/// Errors: `malformed` where a logit is NaN or +infinity, or all are -infinity; `usage` for empty
///         logits, a temperature below 0, or a top_p outside (0, 1].
/// Cost:   O(vocabulary) on average; top-p sorts the tokens it keeps.
TokenId choose(std::span<const float> logits, const Sampling& sampling, Random& random);

/// Errors: `usage` at temperature 0, naming those of --top-p, --top-k and --seed that are set:
/// greedy
///         decoding ignores them.
void refuse_idle_settings(const Sampling& sampling);

/// Natural logarithm of the probability of `token` under softmax, in double.
///
/// Errors: as `choose`; `usage` for a token outside the logits.
double compute_logprob(std::span<const float> logits, TokenId token);

/// The likeliest token, the lowest id among equals. Errors: as `choose`.
TokenId likeliest(std::span<const float> logits);

}  // namespace anamnesis::language
