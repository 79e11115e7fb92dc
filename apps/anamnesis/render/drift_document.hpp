// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "anamnesis/base/json.hpp"
#include "anamnesis/report/document.hpp"
#include "anamnesis/restore/checkpoint_drift.hpp"
#include "anamnesis/restore/plan.hpp"

namespace anamnesis::app {

/// The page of `drift --html`: what moved more, per-layer and per-head heat maps.
report::Document drift_document(const restore::Source& pre,
                                const restore::Source& post,
                                const restore::CheckpointDrift& drift);

Json drift_json(const restore::Source& pre,
                const restore::Source& post,
                const restore::CheckpointDrift& drift);

/// One sentence: whether W_Q and W_K moved more than the rest.
std::string drift_verdict(const restore::CheckpointDrift& drift);

}  // namespace anamnesis::app
