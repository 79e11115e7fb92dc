// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>

#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/model.hpp"

namespace anamnesis::restore {

struct CheckpointPair {
    checkpoint::RecognisedCheckpoint pre;
    checkpoint::RecognisedCheckpoint post;
};

/// Opens a checkpoint and what was fine-tuned from it.
/// Errors: those of `checkpoint::open_recognised`; `mismatch` where one has no config.json, its
///         names do not tell what it is, and the other's config may: which is named.
CheckpointPair open_pair(const std::filesystem::path& pre,
                         const std::filesystem::path& post,
                         const checkpoint::OpenOptions& opening,
                         const checkpoint::RecogniseOptions& recognising);

}  // namespace anamnesis::restore
