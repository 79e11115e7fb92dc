// SPDX-License-Identifier: Apache-2.0
#include "outcome.hpp"

#include <cstddef>
#include <numeric>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "anamnesis/base/text.hpp"
#include "anamnesis/dissection/findings.hpp"
#include "anamnesis/eval/statistics.hpp"

#include "subject.hpp"

namespace anamnesis::dissection {
namespace {

std::vector<double> negate(std::span<const double> losses) {
    std::vector<double> scores;
    for (const double loss : losses) {
        scores.push_back(-loss);
    }
    return scores;
}

SideScore make_side(const std::vector<double>& losses, std::size_t right) {
    const double mean =
        std::accumulate(losses.begin(), losses.end(), 0.0) / static_cast<double>(losses.size());
    return {.loss = mean,
            .interval = eval::bootstrap_mean(losses),
            .right_texts = right,
            .texts = losses.size(),
            .share = std::nullopt,
            .share_interval = std::nullopt};
}

}  // namespace

Outcome make_outcome(const std::string& name,
                     const Scores& scores,
                     const Scores& of_pre,
                     const Scores& of_post) {
    Outcome outcome{.name = name};
    outcome.recall = make_side(scores.recall, scores.right_recall);
    outcome.reasoning = make_side(scores.reasoning, scores.right_reasoning);
    const auto won =
        eval::recovered_share(negate(of_pre.recall), negate(of_post.recall), negate(scores.recall));
    const auto kept = eval::recovered_share(
        negate(of_post.reasoning), negate(of_pre.reasoning), negate(scores.reasoning));
    outcome.recall.share = won.share;
    outcome.recall.share_interval = won.interval;
    outcome.reasoning.share = kept.share;
    outcome.reasoning.share_interval = kept.interval;
    return outcome;
}

void warn_of_few_texts(Findings& findings) {
    constexpr std::size_t few = 10;  // of one half
    for (const auto& [kind, side] : {std::pair("recall", &findings.post.recall),
                                     std::pair("reasoning", &findings.post.reasoning)}) {
        if (side->texts < few) {
            findings.warnings.push_back(
                format("the figures are of {} {} texts, and about as many chose what is told: the "
                       "shares, the carrier and the best repair are uncertain; give 50 texts of "
                       "each kind or more",
                       side->texts,
                       kind));
        }
    }
}

}  // namespace anamnesis::dissection
