// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "anamnesis/base/json.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/runtime/hybrid_model.hpp"
#include "anamnesis/runtime/network.hpp"

namespace anamnesis::analysis {

/// How the models of a job are read and run.
struct ModelLoading {
    checkpoint::OpenOptions opening{};
    checkpoint::RecogniseOptions recognising{};
    runtime::LoadOptions running{};
};

/// Errors: those of the checkpoint and `runtime::load_network`.
runtime::Network load_network(const std::string& path, const ModelLoading& loading);

/// What of it decides the figures, for a run's record: sets `dtype` and `attn_logits_scaling`.
void describe_loading(const ModelLoading& loading, Json& settings);

}  // namespace anamnesis::analysis
