// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "anamnesis/base/index.hpp"
#include "anamnesis/checkpoint/finding.hpp"
#include "anamnesis/restore/apply.hpp"
#include "anamnesis/restore/drift_measures.hpp"
#include "anamnesis/restore/plan.hpp"

namespace anamnesis::restore {

/// Drift of the rows of one part ("q", "k", "v", "mlp"…) of one tensor.
struct TensorDrift {
    std::string name;
    std::optional<LayerIndex> layer{};
    std::string part;
    DriftSums sums;
};

/// Drift of the heads that share one key (weights alone, without biases).
struct RoutingGroupDrift {
    std::optional<LayerIndex> layer{};
    std::uint32_t kv_head = 0;
    bool is_shared_key = false;
    std::vector<std::uint32_t> query_heads;
    GroupDrift drift;
};

struct CheckpointDrift {
    std::vector<TensorDrift> tensors;      ///< in the order of post's files
    std::vector<RoutingGroupDrift> heads;  ///< by layer, then key head
    std::string gauge;                     ///< what `aligned` was measured in, or why it was not
    std::vector<std::string> notes;        ///< what could not be measured
    /// Tensors with rows of W_Q or W_K of a softmax layer of which some value was not measured.
    std::vector<std::string> routing_gaps{};
    std::vector<checkpoint::Finding> findings{};  ///< of pre, of post and of the pair

    /// Sums over all tensors of a layer and part; of all layers where `layer` is absent.
    DriftSums of(const std::optional<LayerIndex>& layer, const std::string& part) const;
    /// Parts that occur, q, k, v first.
    std::vector<std::string> parts() const;
};

/// How far a fine-tune moved every tensor, and the routing of every softmax head.
/// Source: docs/method.md, "Drift". Accumulates in float64.
/// Cost:   reads both checkpoints once; memory for the rows of one key head and its queries.
CheckpointDrift measure_drift(const RecognisedCheckpoint& pre,
                              const RecognisedCheckpoint& post,
                              const Selection& selection,
                              const Execution& execution);

}  // namespace anamnesis::restore
