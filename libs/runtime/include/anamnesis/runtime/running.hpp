// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "anamnesis/base/json.hpp"
#include "anamnesis/runtime/hybrid_model.hpp"

namespace anamnesis::runtime {

/// What of it decides a model's figures, for a run's record: sets `dtype` ("as stored" without one)
/// and `attn_logits_scaling`, and where they are given `cache_dtype` and `context_length`.
void describe_running(const LoadOptions& options, Json& settings);

}  // namespace anamnesis::runtime
