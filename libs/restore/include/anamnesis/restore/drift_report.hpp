// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "anamnesis/base/json.hpp"
#include "anamnesis/report/document.hpp"
#include "anamnesis/restore/checkpoint_drift.hpp"
#include "anamnesis/restore/plan.hpp"

namespace anamnesis::restore {

/// The page of a drift: what moved more, heat maps of layers and heads.
report::Document make_drift_document(const RecognisedCheckpoint& pre,
                                     const RecognisedCheckpoint& post,
                                     const CheckpointDrift& drift);

/// What `drift --json` prints (docs/json.md).
Json make_drift_json(const RecognisedCheckpoint& pre,
                     const RecognisedCheckpoint& post,
                     const CheckpointDrift& drift);

/// A row a layer, a column a part, and the routing drift of the layer's heads.
std::string make_drift_table(const RecognisedCheckpoint& post, const CheckpointDrift& drift);

/// One sentence: whether W_Q and W_K moved more than the rest.
std::string describe_drift(const CheckpointDrift& drift);

/// Whether there are softmax layers, and W_Q and W_K of each were measured in all values and moved
/// no further than `limit`.
bool is_routing_drift_within(const CheckpointDrift& drift, double limit);

}  // namespace anamnesis::restore
