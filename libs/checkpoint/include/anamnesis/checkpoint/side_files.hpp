// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include "anamnesis/checkpoint/checkpoint.hpp"

namespace anamnesis::checkpoint {

/// A file beside the weights that belongs to the model.
struct SideFile {
    std::filesystem::path relative;  ///< to the checkpoint's folder
    std::uint64_t bytes = 0;
};

struct SideFiles {
    std::vector<SideFile> files;     ///< sorted
    std::vector<std::string> notes;  ///< what was left out and why
};

/// What a copy of a checkpoint holds beside its weights, whoever writes the copy: config, index,
/// tokenizer, chat template, remote code, licence, model card. Left out: weights in other formats,
/// stray weight files, optimiser state, folders of training checkpoints, version control and
/// download caches, and what this project leaves in a folder about other weights: receipts, undo
/// files, the settings, metrics, states and event files of a training run.
/// Errors: `io`, naming the folder.
SideFiles find_side_files(const Checkpoint& checkpoint);

/// The same of any folder whose own weight files are `weights`.
SideFiles find_side_files(const std::filesystem::path& folder, std::set<std::string> weights);

}  // namespace anamnesis::checkpoint
