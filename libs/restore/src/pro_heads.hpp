// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <functional>
#include <span>

#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/restore/plan.hpp"
#include "anamnesis/restore/qk_pro.hpp"
#include "anamnesis/restore/request.hpp"

namespace anamnesis::restore {

/// Whether keys or queries of a group have biases, which are then one column more.
bool has_bias_column(const RoutingGroup& group);

/// The filter of a group's query heads, from the key rows of pre and, for the metric gain, the
/// gains of `post`. Errors: those of ProFilter.
ProFilter make_pro_filter(const RoutingGroup& group,
                          ProMetric metric,
                          const RecognisedCheckpoint& post);

/// Takes a filter, its absolute lambda and the rows of one query head.
using TakeHead =
    std::function<void(const ProFilter& filter, double lambda, checkpoint::RowRange rows)>;

/// Hands out every query head whose rows lie in `tensor`, a weight or a bias of the base, group by
/// group. `request` has one lambda.
void visit_heads(const RecognisedCheckpoint& base,
                 std::span<const RoutingGroup> groups,
                 const Request& request,
                 const checkpoint::TensorEntry& tensor,
                 const TakeHead& take);

}  // namespace anamnesis::restore
