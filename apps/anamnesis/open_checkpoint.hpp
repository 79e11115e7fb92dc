// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/eval/engine.hpp"
#include "anamnesis/restore/open_pair.hpp"

#include "options/reading.hpp"

namespace anamnesis::app {

/// How the libraries read what the command line says.
checkpoint::OpenOptions make_open_options(const ReadingOptions& options);
checkpoint::RecogniseOptions make_recognise_options(const ReadingOptions& options);

/// Opens and recognises a checkpoint as the command line says. Where only looking is meant,
/// `missing` makes a warning of what is absent.
checkpoint::RecognisedCheckpoint open_checkpoint(
    const std::string& path,
    const ReadingOptions& options,
    checkpoint::Missing missing = checkpoint::Missing::refuse);

/// The checkpoints of --pre and --post.
restore::CheckpointPair open_pair(const std::string& pre,
                                  const std::string& post,
                                  const ReadingOptions& options);

/// A model's checkpoint, seen with its adapter where it has one.
/// Errors: those of `open_checkpoint`, `open_adapter` and `view_with_adapter`.
checkpoint::RecognisedCheckpoint open_with_adapter(const eval::AskedModel& model,
                                                   const ReadingOptions& options);

}  // namespace anamnesis::app
