// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/restore/fit_rows.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/linalg/matrix_view.hpp"
#include "anamnesis/restore/fit.hpp"
#include "anamnesis/restore/moments.hpp"
#include "anamnesis/restore/plan.hpp"

namespace anamnesis::restore {
namespace {

/// Of the matrices of a group; tokens are the inputs of an embedding.
std::size_t count_inputs(const FitGroup& group) {
    const HeadRows& rows = group.rows.front().weight;
    return group.part == "embedding" ? rows.post->rows()
                                     : rows.matrix_columns() + (group.has_bias ? 1 : 0);
}

void sum_heads(Moment& moment) {
    for (std::size_t i = 1; i < moment.matrices.size(); ++i) {
        const std::span<const double> values = moment.matrices[i].values();
        for (std::size_t j = 0; j < values.size(); ++j) {
            moment.matrices.front().values()[j] += values[j];
        }
    }
    moment.matrices.resize(std::min<std::size_t>(moment.matrices.size(), 1));
    moment.counts.resize(std::min<std::size_t>(moment.counts.size(), 1));
}

Moment load_fitting(const FitGroup& group, const MomentKey& key, const MomentSource& source) {
    Moment moment = source.load(key);
    const std::size_t inputs = count_inputs(group);
    const std::size_t found =
        moment.matrices.empty() ? moment.diagonal.size() : moment.matrices.front().rows();
    if (found != inputs || moment.matrices.empty() != (group.part == "embedding")) {
        throw Error(ErrorKind::mismatch,
                    format("moment {} is for {} inputs, the rows of tensor {} have {}: it belongs "
                           "to another model, or to a calibration with or without biases",
                           in_quotes(to_string(key)),
                           found,
                           in_quotes(group.rows.front().weight.post->name),
                           inputs));
    }
    if (group.sums_heads) {
        sum_heads(moment);
    }
    std::uint32_t heads = 0;
    std::uint64_t target_rows = 0;
    for (const HeadBlock& block : group.rows) {
        heads = std::max(heads, block.head + 1);
        target_rows = std::max(target_rows, (block.head + 1) * block.weight.rows);
    }
    const bool lacks_target =
        has_target(group.part) && key.side == CalibrationSide::recall &&
        (moment.target.rows() < target_rows || moment.target.columns() != inputs);
    if (lacks_target) {
        throw Error(ErrorKind::mismatch,
                    format("moment {} has a target of {} rows, the rows of tensor {} need {}",
                           in_quotes(to_string(key)),
                           moment.target.rows(),
                           in_quotes(group.rows.front().weight.post->name),
                           target_rows));
    }
    const std::size_t matrices = moment.matrices.size();
    if (matrices > 1 && matrices < heads && group.part != "q") {
        throw Error(ErrorKind::mismatch,
                    format("moment {} has {} heads or experts, the rows of tensor {} have {}",
                           in_quotes(to_string(key)),
                           matrices,
                           in_quotes(group.rows.front().weight.post->name),
                           heads));
    }
    return moment;
}

MomentKey make_key(const FitGroup& group, CalibrationSide side, bool is_held_back = false) {
    return {.part = group.part, .side = side, .layer = group.layer, .is_held_back = is_held_back};
}

void scale(Moment& moment, const MomentKey& key) {
    in_context([&] { return format("moment {}", in_quotes(to_string(key))); },
               [&] { scale_moment(moment); });
}

Moment load_scaled(const FitGroup& group, CalibrationSide side, const MomentSource& source) {
    const MomentKey key = make_key(group, side);
    Moment moment = load_fitting(group, key, source);
    scale(moment, key);
    return moment;
}

void subtract(std::span<double> from, std::span<const double> values) {
    for (std::size_t i = 0; i < from.size(); ++i) {
        from[i] -= values[i];
    }
}

/// Of the texts that were not held back, scaled.
Moment load_others(const FitGroup& group,
                   CalibrationSide side,
                   const MomentSource& source,
                   const Moment& held_back) {
    const MomentKey key = make_key(group, side);
    Moment moment = load_fitting(group, key, source);
    if (moment.matrices.size() != held_back.matrices.size() ||
        moment.diagonal.size() != held_back.diagonal.size() ||
        moment.counts.size() != held_back.counts.size() ||
        moment.target.rows() != held_back.target.rows() ||
        moment.target.columns() != held_back.target.columns()) {
        throw Error(ErrorKind::mismatch,
                    format("moment {} and its part that is held back differ in size",
                           in_quotes(to_string(key))));
    }
    subtract(moment.diagonal, held_back.diagonal);
    subtract(moment.target.values(), held_back.target.values());
    for (std::size_t i = 0; i < moment.matrices.size(); ++i) {
        subtract(moment.matrices[i].values(), held_back.matrices[i].values());
    }
    for (std::size_t i = 0; i < moment.counts.size(); ++i) {
        moment.counts[i] -= held_back.counts[i];
    }
    scale(moment, key);
    return moment;
}

}  // namespace

const linalg::Matrix& of_head(const Moment& moment, std::uint32_t head) {
    return moment.matrices.size() == 1 ? moment.matrices.front() : moment.matrices.at(head);
}

GroupMoments load_group_moments(const FitGroup& group, const MomentSource& source) {
    return {.recall = load_scaled(group, CalibrationSide::recall, source),
            .chains = load_scaled(group, CalibrationSide::chains, source)};
}

std::optional<GroupMoments> load_held_back_moments(const FitGroup& group,
                                                   const MomentSource& source) {
    const MomentKey recall = make_key(group, CalibrationSide::recall, /*is_held_back=*/true);
    const MomentKey chains = make_key(group, CalibrationSide::chains, /*is_held_back=*/true);
    if (!source.has(recall) || !source.has(chains)) {
        return std::nullopt;
    }
    return GroupMoments{.recall = load_fitting(group, recall, source),
                        .chains = load_fitting(group, chains, source)};
}

GroupMoments load_other_moments(const FitGroup& group,
                                const MomentSource& source,
                                const GroupMoments& held_back) {
    return {.recall = load_others(group, CalibrationSide::recall, source, held_back.recall),
            .chains = load_others(group, CalibrationSide::chains, source, held_back.chains)};
}

bool has_few_inputs(const FitGroup& group, const HeadBlock& block, const GroupMoments& moments) {
    if (!is_of_experts(group.part)) {
        return false;
    }
    for (const Moment* moment : {&moments.recall, &moments.chains}) {
        if (moment->counts.size() <= block.head) {
            throw Error(ErrorKind::mismatch,
                        format("the moments of {} do not tell how many inputs each expert has",
                               in_quotes(block.weight.post->name)));
        }
        if (moment->counts[block.head] < least_expert_inputs) {
            return true;
        }
    }
    return false;
}

}  // namespace anamnesis::restore
