// SPDX-License-Identifier: Apache-2.0
#include "drift_gaps.hpp"

#include <algorithm>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/finding.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/restore/checkpoint_drift.hpp"

namespace anamnesis::restore {
namespace {

bool holds_routing(const checkpoint::AttentionTensor& tensor) {
    using enum checkpoint::RowRole;
    return tensor.group == checkpoint::AttentionGroup::weight && !tensor.is_draft_head &&
           std::ranges::any_of(tensor.blocks, [](const checkpoint::RowBlock& block) {
               return block.role == query || block.role == key;
           });
}

}  // namespace

bool is_routing_gap(const checkpoint::Model& post,
                    const checkpoint::TensorEntry& tensor,
                    std::span<const TensorDrift> drifts) {
    const checkpoint::AttentionTensor* attention = post.find_attention(tensor.name);
    const bool is_measured =
        !drifts.empty() && std::ranges::all_of(drifts, [](const TensorDrift& drift) {
            return drift.sums.skipped == 0;
        });
    return attention != nullptr && holds_routing(*attention) && !is_measured;
}

std::vector<checkpoint::Finding> find_drift_gaps(const CheckpointDrift& drift) {
    std::vector<checkpoint::Finding> findings;
    if (!drift.routing_gaps.empty()) {
        findings.push_back(checkpoint::make_finding(
            "routing_not_measured",
            checkpoint::Severity::warning,
            drift.routing_gaps,
            format("the drift of W_Q or W_K was not measured, or not in all values, in {} tensors "
                   "({})",
                   drift.routing_gaps.size(),
                   checkpoint::list_examples(drift.routing_gaps)),
            "--limit takes that for a drift above it"));
    }
    std::vector<std::string> names;
    std::uint64_t skipped = 0;
    for (const TensorDrift& tensor : drift.tensors) {
        skipped += tensor.sums.skipped;
        if (tensor.sums.skipped > 0 && (names.empty() || names.back() != tensor.name)) {
            names.push_back(tensor.name);
        }
    }
    if (!names.empty()) {
        findings.push_back(checkpoint::make_finding(
            "non_finite",
            checkpoint::Severity::warning,
            names,
            format("{} values of {} tensors are NaN or infinite in pre or post and are in no sum "
                   "({})",
                   skipped,
                   names.size(),
                   checkpoint::list_examples(names)),
            "'anamnesis doctor' says in which checkpoint"));
    }
    return findings;
}

}  // namespace anamnesis::restore
