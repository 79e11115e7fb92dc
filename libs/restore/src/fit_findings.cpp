// SPDX-License-Identifier: Apache-2.0
#include <cstdint>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/finding.hpp"
#include "anamnesis/restore/fit_rows.hpp"
#include "anamnesis/restore/moments.hpp"
#include "anamnesis/restore/plan.hpp"

namespace anamnesis::restore {
namespace {

using checkpoint::Finding;

/// The experts of a group, and those of them that stay post's.
struct ExpertCount {
    std::uint64_t all = 0;
    std::uint64_t left = 0;
};

ExpertCount count_experts(const FitGroup& group, const MomentSource& source) {
    GroupMoments counts;
    for (const auto& [side, moment] : {std::pair(CalibrationSide::recall, &counts.recall),
                                       std::pair(CalibrationSide::chains, &counts.chains)}) {
        moment->counts =
            source.load_counts({.part = group.part, .side = side, .layer = group.layer});
    }
    std::set<std::uint32_t> all;
    std::set<std::uint32_t> left;
    for (const HeadBlock& block : group.rows) {
        all.insert(block.head);
        if (has_few_inputs(group, block, counts)) {
            left.insert(block.head);
        }
    }
    return {.all = all.size(), .left = left.size()};
}

}  // namespace

std::vector<Finding> find_few_inputs(const Plan& plan) {
    ExpertCount sum;
    std::vector<std::string> layers;
    for (const FitGroup& group : plan.fits) {
        if (!is_of_experts(group.part)) {
            continue;
        }
        const ExpertCount count = count_experts(group, *plan.moments.front());
        sum.all += count.all;
        sum.left += count.left;
        if (count.left > 0) {
            layers.push_back(format(
                "layer {}, {}: {} of {}", group.layer->value, group.part, count.left, count.all));
        }
    }
    if (sum.left == 0) {
        return {};
    }
    Finding finding = make_finding(
        "few_expert_inputs",
        checkpoint::Severity::warning,
        layers,
        format("{} of {} expert inputs stay post's, having fewer than {} predicting tokens of the "
               "recall texts or of the chains",
               sum.left,
               sum.all,
               least_expert_inputs),
        "give more texts to calibrate with");
    finding.count = sum.left;
    return {finding};
}

}  // namespace anamnesis::restore
