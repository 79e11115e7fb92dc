// SPDX-License-Identifier: Apache-2.0
#include "pro_heads.hpp"

#include <algorithm>
#include <optional>
#include <span>
#include <vector>

#include "anamnesis/base/check.hpp"
#include "anamnesis/linalg/matrix_view.hpp"
#include "anamnesis/restore/plan.hpp"
#include "anamnesis/restore/qk_pro.hpp"
#include "anamnesis/restore/request.hpp"

#include "head_rows.hpp"

namespace anamnesis::restore {
namespace {

/// The rows of a head in `tensor`; nothing where it has none there.
std::optional<checkpoint::RowRange> find_rows(const HeadBlock& block,
                                              const checkpoint::TensorEntry& tensor) {
    const HeadRows* rows = block.weight.post == &tensor                ? &block.weight
                           : block.bias && block.bias->post == &tensor ? &*block.bias
                                                                       : nullptr;
    if (rows == nullptr) {
        return std::nullopt;
    }
    return checkpoint::RowRange{.begin = rows->post_row, .end = rows->post_row + rows->rows};
}

}  // namespace

bool has_bias_column(const RoutingGroup& group) {
    return group.key.bias || std::ranges::any_of(group.queries, [](const HeadBlock& query) {
               return query.bias.has_value();
           });
}

ProFilter make_pro_filter(const RoutingGroup& group,
                          ProMetric metric,
                          const RecognisedCheckpoint& post) {
    const linalg::Matrix key = load_block(Side::pre, group.key, has_bias_column(group));
    std::vector<double> query_gain;
    std::vector<double> key_gain;
    if (metric == ProMetric::gain) {
        query_gain = load_gain(post, group.query_gain);
        key_gain = load_gain(post, group.key_gain);
    }
    return ProFilter(
        key.view(),
        {.metric = metric, .rotary = group.rotary, .query_gain = query_gain, .key_gain = key_gain});
}

void visit_heads(const RecognisedCheckpoint& base,
                 std::span<const RoutingGroup> groups,
                 const Request& request,
                 const checkpoint::TensorEntry& tensor,
                 const TakeHead& take) {
    ANAMNESIS_CHECK(request.lambdas.size() == 1, "heads are filtered for one lambda at a time");
    for (const RoutingGroup& group : groups) {
        std::optional<ProFilter> filter;
        for (const HeadBlock& query : group.queries) {
            const auto rows = find_rows(query, tensor);
            if (!rows) {
                continue;
            }
            if (!filter) {
                filter.emplace(make_pro_filter(group, request.metric, base));
            }
            const Lambda& lambda = request.lambdas.front();
            take(*filter,
                 lambda.is_relative ? filter->absolute_lambda(lambda.value) : lambda.value,
                 *rows);
        }
    }
}

}  // namespace anamnesis::restore
