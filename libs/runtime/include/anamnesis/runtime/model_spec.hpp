// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "anamnesis/checkpoint/blueprint.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/model.hpp"

namespace anamnesis::runtime {

using checkpoint::AttentionSpec;
using checkpoint::LayerSpec;

/// A blueprint and what only the checkpoint tells.
struct ModelSpec {
    /// Complete: what each layer is, and where its tensors are.
    std::shared_ptr<const checkpoint::Blueprint> blueprint{};
    std::string prefix;  ///< of the text model's tensors: "model." or "model.language_model."
    std::string head_prefix{};  ///< of the head's: empty, or "language_model."
    std::uint32_t hidden_size = 0;
    std::uint32_t vocabulary_size = 0;
    std::uint32_t context_length = 0;  ///< max_position_embeddings
    bool is_head_tied = false;
    std::vector<LayerSpec> layers{};  ///< as in the blueprint, unless the caller changes them
};

/// Reads the spec of a recognised checkpoint.
/// Errors: `unsupported` for a family that does not run, or a feature that is not implemented
/// (named); `malformed` for sizes that cannot be.
ModelSpec describe(const checkpoint::Checkpoint& checkpoint, const checkpoint::Model& model);

}  // namespace anamnesis::runtime
