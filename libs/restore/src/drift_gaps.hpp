// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <vector>

#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/finding.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/restore/checkpoint_drift.hpp"

namespace anamnesis::restore {

/// Whether these are rows of W_Q or W_K of a softmax layer.
bool is_of_routing(const TensorDrift& drift);

/// Whether a tensor of post has rows of W_Q or W_K of a softmax layer of which `drifts`, all that
/// was measured of it, lack some value.
bool is_routing_gap(const checkpoint::Model& post,
                    const checkpoint::TensorEntry& tensor,
                    std::span<const TensorDrift> drifts);

/// Findings of the pair about what is in no sum.
std::vector<checkpoint::Finding> find_drift_gaps(const CheckpointDrift& drift);

}  // namespace anamnesis::restore
