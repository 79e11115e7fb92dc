// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/restore/fit_rows.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/linalg/matrix_view.hpp"
#include "anamnesis/restore/fit.hpp"
#include "anamnesis/restore/moments.hpp"
#include "anamnesis/restore/plan.hpp"

#include "head_rows.hpp"

namespace anamnesis::restore {
namespace {

Moment load_scaled(const FitGroup& group, CalibrationSide side, const MomentSource& source) {
    const MomentKey key{.part = group.part, .side = side, .layer = group.layer};
    Moment moment = source.load(key);
    const std::size_t inputs = group.rows.front().weight.post->columns() + (group.has_bias ? 1 : 0);
    if (moment.front().rows() != inputs) {
        throw Error(ErrorKind::mismatch,
                    format("moment {} is for {} inputs, the rows of tensor {} have {}: it belongs "
                           "to another model, or to a calibration with or without biases",
                           in_quotes(to_string(key)),
                           moment.front().rows(),
                           in_quotes(group.rows.front().weight.post->name),
                           inputs));
    }
    std::uint32_t heads = 0;
    for (const HeadBlock& block : group.rows) {
        heads = std::max(heads, block.head + 1);
    }
    if (moment.size() > 1 && moment.size() < heads && group.part != "q") {
        throw Error(ErrorKind::mismatch,
                    format("moment {} has {} heads, the rows of tensor {} have {}",
                           in_quotes(to_string(key)),
                           moment.size(),
                           in_quotes(group.rows.front().weight.post->name),
                           heads));
    }
    in_context([&] { return format("moment {}", in_quotes(to_string(key))); },
               [&] { scale_moment(moment); });
    return moment;
}

const linalg::Matrix& of_head(const Moment& moment, std::uint32_t head) {
    return moment.size() == 1 ? moment.front() : moment.at(head);
}

}  // namespace

GroupMoments load_group_moments(const FitGroup& group, const MomentSource& source) {
    return {.recall = load_scaled(group, CalibrationSide::recall, source),
            .chains = load_scaled(group, CalibrationSide::chains, source)};
}

std::vector<linalg::Matrix> compute_fit(const FitGroup& group,
                                        const GroupMoments& moments,
                                        double mu) {
    const bool has_own_heads = moments.recall.size() > 1 || moments.chains.size() > 1;
    std::vector<linalg::Matrix> fitted;
    // A factor is as large as a moment: only the latest is kept.
    std::optional<FitFilter> filter;
    std::optional<std::uint32_t> head;
    for (const HeadBlock& block : group.rows) {
        if (!filter || (has_own_heads && head != block.head)) {
            filter.emplace(of_head(moments.recall, block.head).view(),
                           of_head(moments.chains, block.head).view(),
                           mu);
            head = block.head;
        }
        const linalg::Matrix pre = load_block(Side::pre, block, group.has_bias);
        const linalg::Matrix post = load_block(Side::post, block, group.has_bias);
        fitted.push_back(filter->apply(pre.view(), post.view()));
    }
    return fitted;
}

}  // namespace anamnesis::restore
