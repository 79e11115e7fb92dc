// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>

#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/eval/engine.hpp"
#include "anamnesis/runtime/hybrid_model.hpp"
#include "anamnesis/runtime/network.hpp"

namespace anamnesis::analysis {

/// How the models of a job are read and run.
struct ModelLoading {
    /// Opens its files: the checkpoint, with the adapter where it has one.
    std::function<checkpoint::RecognisedCheckpoint(const eval::AskedModel&)> open{};
    runtime::LoadOptions running{};
};

/// Errors: those of the checkpoint and `runtime::load_network`.
runtime::Network load_network(const eval::AskedModel& model, const ModelLoading& loading);

}  // namespace anamnesis::analysis
