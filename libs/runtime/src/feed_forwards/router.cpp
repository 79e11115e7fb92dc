// SPDX-License-Identifier: Apache-2.0
#include "feed_forwards/router.hpp"

#include <cstdint>
#include <limits>
#include <tuple>

#include <ATen/ops/gather.h>
#include <ATen/ops/sigmoid.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/topk.h>
#include <ATen/ops/zeros_like.h>

namespace anamnesis::runtime {
namespace {

using Scores = checkpoint::RouterSpec::Scores;

/// `scores` with those of experts outside the best groups below all others.
at::Tensor keep_best_groups(const checkpoint::RouterSpec& spec, const at::Tensor& scores) {
    if (spec.groups <= 1 || spec.kept_groups >= spec.groups) {
        return scores;
    }
    const at::Tensor grouped = scores.view({scores.size(0), spec.groups, -1});
    const std::int64_t counted = std::min<std::int64_t>(spec.ranked_experts, grouped.size(-1));
    const at::Tensor group_scores = std::get<0>(at::topk(grouped, counted, -1)).sum(-1);
    const at::Tensor kept = std::get<1>(at::topk(group_scores, spec.kept_groups, -1));
    const at::Tensor mask = at::zeros_like(group_scores).scatter(1, kept, 1.0).unsqueeze(-1);
    return grouped.masked_fill(mask == 0.0, -std::numeric_limits<double>::infinity())
        .view(scores.sizes());
}

}  // namespace

Choice choose_experts(const Router& router, const at::Tensor& tokens) {
    const checkpoint::RouterSpec& spec = router.spec;
    const at::Tensor logits = apply(router.logits, tokens);
    at::Tensor scores = logits;
    if (spec.scores == Scores::softmax) {
        scores = at::softmax(logits, -1);
    } else if (spec.scores == Scores::sigmoid) {
        scores = at::sigmoid(logits);
    }
    const at::Tensor choosing =
        router.correction.defined() ? scores.detach() + router.correction : scores;
    Choice choice;
    choice.experts =
        std::get<1>(at::topk(keep_best_groups(spec, choosing), router.experts_per_token, -1));
    choice.weights = scores.gather(-1, choice.experts);
    if (spec.scores == Scores::chosen_softmax) {
        choice.weights = at::softmax(choice.weights, -1);
    } else if (spec.is_renormalised) {
        choice.weights =
            choice.weights / (choice.weights.sum(-1, /*keepdim=*/true) + spec.renormalisation);
    }
    if (spec.scale != 1.0) {
        choice.weights = choice.weights * spec.scale;
    }
    return choice;
}

}  // namespace anamnesis::runtime
