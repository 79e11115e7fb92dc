// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/model.hpp"

#include "options/reading.hpp"

namespace anamnesis::app {

struct OpenedCheckpoint {
    checkpoint::Checkpoint checkpoint;
    checkpoint::Model model;
};

/// Opens and recognises a checkpoint as the command line says.
OpenedCheckpoint open_checkpoint(const std::string& path,
                                 const ReadingOptions& options,
                                 checkpoint::Missing missing);

}  // namespace anamnesis::app
