// SPDX-License-Identifier: Apache-2.0
#include "drift_gaps.hpp"

#include <algorithm>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
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

/// Tensors that hold NaN are measured in part and have no note; the others have one.
std::string tell_reasons(const CheckpointDrift& drift) {
    const auto holds_nan = [&](const std::string& name) {
        return std::ranges::any_of(drift.tensors, [&](const TensorDrift& tensor) {
            return tensor.name == name && tensor.sums.skipped > 0;
        });
    };
    const auto damaged = std::ranges::count_if(drift.routing_gaps, holds_nan);
    const bool is_all = std::cmp_equal(damaged, drift.routing_gaps.size());
    const std::string notes = is_all ? "" : "the notes say of which and why";
    const std::string values =
        damaged == 0 ? "" : "where values are NaN or infinite 'anamnesis doctor' says which";
    return notes + (notes.empty() || values.empty() ? "" : "; ") + values;
}

}  // namespace

bool is_of_routing(const TensorDrift& drift) {
    return drift.part == "q" || drift.part == "k";
}

bool is_routing_gap(const checkpoint::Model& post,
                    const checkpoint::TensorEntry& tensor,
                    std::span<const TensorDrift> drifts) {
    const checkpoint::AttentionTensor* attention = post.find_attention(tensor.name);
    const bool is_measured = std::ranges::any_of(drifts, is_of_routing) &&
                             std::ranges::none_of(drifts, [](const TensorDrift& drift) {
                                 return is_of_routing(drift) && drift.sums.skipped > 0;
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
                   "({}), which --limit takes for a drift above it",
                   drift.routing_gaps.size(),
                   checkpoint::list_examples(drift.routing_gaps)),
            tell_reasons(drift)));
    } else if (std::ranges::none_of(drift.tensors, is_of_routing)) {
        findings.push_back(
            {.code = "routing_not_measured",
             .sentence = "no tensor has rows of W_Q or W_K of softmax attention, which --limit "
                         "takes for a drift above it",
             .remedy = "where the model has softmax attention, say which rows these are with "
                       "--routing",
             .count = 0});
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
