// SPDX-License-Identifier: Apache-2.0
#include "token_scores.hpp"

#include <algorithm>
#include <cstddef>
#include <span>
#include <utility>
#include <vector>

#include "anamnesis/language/sampler.hpp"

namespace anamnesis::serve {
namespace {

/// The ids of the `count` largest logits, in order.
std::vector<TokenId> find_likeliest(std::span<const float> logits, std::size_t count) {
    std::vector<TokenId> best;
    const auto logit = [&](TokenId id) { return logits[static_cast<std::size_t>(id)]; };
    for (std::size_t i = 0; i < logits.size(); ++i) {
        if (best.size() == count && !(logits[i] > logit(best.back()))) {
            continue;
        }
        const auto place =
            std::ranges::find_if(best, [&](TokenId id) { return logits[i] > logit(id); });
        best.insert(place, static_cast<TokenId>(i));
        best.resize(std::min(best.size(), count));
    }
    return best;
}

}  // namespace

ScoredToken score_token(std::span<const float> logits, TokenId token, std::size_t alternatives) {
    ScoredToken scored{.token = token, .logprob = language::compute_logprob(logits, token)};
    if (alternatives == 0) {
        return scored;
    }
    const double reference = logits[static_cast<std::size_t>(token)];
    for (const TokenId id : find_likeliest(logits, alternatives)) {
        scored.alternatives.emplace_back(
            id, scored.logprob + (logits[static_cast<std::size_t>(id)] - reference));
    }
    return scored;
}

}  // namespace anamnesis::serve
