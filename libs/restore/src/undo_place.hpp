// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>

namespace anamnesis::restore {

/// Where the undo file and the receipt of a repair in place lie: in the folder of the checkpoint,
/// or beside a GGUF file and named after it, as many models share a folder.
struct UndoPlace {
    std::filesystem::path folder;   ///< of the weight files
    std::filesystem::path undo;     ///< the undo file
    std::filesystem::path receipt;  ///< the receipt
};

/// `checkpoint` is what a user names: a folder, a file or a shard.
UndoPlace find_undo_place(const std::filesystem::path& checkpoint);

}  // namespace anamnesis::restore
