// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>

#include "anamnesis/checkpoint/adapter.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/restore/request.hpp"

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

/// Opens an adapter and holds it against its base.
/// Errors: those of `checkpoint::open_adapter`, `checkpoint::open_recognised` and
///         `checkpoint::view_for_adapter`.
checkpoint::AdapterPair open_adapter_pair(const std::filesystem::path& base,
                                          const std::filesystem::path& adapter,
                                          const checkpoint::OpenOptions& opening,
                                          const checkpoint::RecogniseOptions& recognising,
                                          const Request& request);

}  // namespace anamnesis::restore
