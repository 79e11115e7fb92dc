// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>

#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/train/adamw.hpp"

namespace anamnesis::train {

/// What no file should hold: the last step has no loss after it that would show it.
/// Errors: `numerical` for a weight that is not a number, or none in the type that `source` has for
/// it.
void require_finite(const checkpoint::Checkpoint& source, const NamedTensors& weights);

/// Writes a checkpoint like `source` with these weights into a folder: the same files, headers and
/// types (weights are rounded to nearest even), tensors that were not trained byte for byte, and
/// what lies beside the weights (config, tokenizer, chat template, remote code). Each file
/// appears whole or not at all.
/// Errors: `mismatch` for a weight that the source has in another shape.
void write_checkpoint(const checkpoint::Checkpoint& source,
                      const NamedTensors& weights,
                      const std::filesystem::path& folder);

}  // namespace anamnesis::train
