// SPDX-License-Identifier: Apache-2.0
#include "undo_place.hpp"

#include <filesystem>
#include <system_error>

#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/restore/apply.hpp"

namespace anamnesis::restore {
namespace {

namespace fs = std::filesystem;

fs::path find_parent(const fs::path& path) {
    return path.has_parent_path() ? path.parent_path() : fs::path(".");
}

}  // namespace

UndoPlace find_undo_place(const fs::path& checkpoint) {
    std::error_code ignored;
    if (checkpoint::is_whole_gguf(checkpoint) && !fs::is_directory(checkpoint, ignored)) {
        fs::path undo = checkpoint;
        fs::path receipt = checkpoint;
        return {.folder = find_parent(checkpoint),
                .undo = undo += ".anamnesis.undo",
                .receipt = receipt += ".anamnesis.json"};
    }
    const bool is_file = fs::is_regular_file(checkpoint, ignored);
    const fs::path folder = is_file ? find_parent(checkpoint) : checkpoint;
    return {.folder = folder, .undo = folder / undo_name, .receipt = folder / receipt_name};
}

fs::path find_receipt(const checkpoint::Checkpoint& repaired) {
    std::error_code ignored;
    fs::path beside = repaired.path();
    beside += ".anamnesis.json";
    return repaired.is_single_file() && fs::exists(beside, ignored)
               ? beside
               : find_undo_place(repaired.path()).receipt;
}

}  // namespace anamnesis::restore
