// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "anamnesis/base/json.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"

namespace anamnesis::restore {

/// The files of a checkpoint folder that are not its weights and belong into a copy of it.
struct SideFiles {
    struct File {
        std::filesystem::path relative;
        std::uint64_t bytes = 0;
    };
    std::vector<File> files;         ///< sorted
    std::vector<std::string> notes;  ///< what was left out and why
};

/// Config, index, tokenizer, chat template, remote code, licence and so on. Left out: weights in
/// other formats, stray weight files, optimiser state, folders of training checkpoints, version
/// control and download caches, receipts and undo files.
SideFiles find_side_files(const checkpoint::Checkpoint& checkpoint);

/// The section that `--model-card` appends to README.md.
std::string model_card_section(const Json& receipt);

}  // namespace anamnesis::restore
