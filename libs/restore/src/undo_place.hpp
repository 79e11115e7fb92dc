// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>

namespace anamnesis::restore {

/// Where the undo file and the receipt of a repair in place lie: in the folder of the checkpoint,
/// or beside a GGUF file or a .safetensors file and named after it, as many models share a folder.
/// `model.safetensors` is its folder's checkpoint, whichever of the two is named.
struct UndoPlace {
    std::filesystem::path folder;   ///< of the weight files
    std::filesystem::path undo;     ///< the undo file
    std::filesystem::path receipt;  ///< the receipt
};

/// `checkpoint` is what a user names: a folder, a file or a shard. Where an earlier repair has left
/// an undo file of it in the other place, that place.
/// Errors: those of reading an undo file.
UndoPlace find_undo_place(const std::filesystem::path& checkpoint);

/// That beside a file, named after it.
UndoPlace find_undo_place_beside(const std::filesystem::path& file);

}  // namespace anamnesis::restore
