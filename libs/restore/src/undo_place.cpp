// SPDX-License-Identifier: Apache-2.0
#include "undo_place.hpp"

#include <filesystem>
#include <optional>
#include <system_error>
#include <vector>

#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/restore/apply.hpp"

#include "undo_file.hpp"

namespace anamnesis::restore {
namespace {

namespace fs = std::filesystem;

fs::path find_parent(const fs::path& path) {
    return path.has_parent_path() ? path.parent_path() : fs::path(".");
}

/// The one .safetensors file of a folder, which may have been repaired by its own name.
std::optional<fs::path> find_only_weights(const fs::path& folder) {
    std::vector<fs::path> files;
    std::error_code error;
    for (fs::directory_iterator entry(folder, error), end; !error && entry != end;
         entry.increment(error)) {
        if (entry->path().extension() == ".safetensors") {
            files.push_back(entry->path());
        }
    }
    return files.size() == 1 ? std::optional(files.front()) : std::nullopt;
}

bool is_of_undo_file(const UndoPlace& place, const fs::path& file) {
    std::error_code ignored;
    return fs::exists(place.undo, ignored) &&
           UndoFile::open(place).holds_rows_of(file.filename().string());
}

}  // namespace

UndoPlace find_undo_place_beside(const fs::path& file) {
    fs::path undo = file;
    fs::path receipt = file;
    return {.folder = find_parent(file),
            .undo = undo += ".anamnesis.undo",
            .receipt = receipt += ".anamnesis.json"};
}

UndoPlace find_undo_place(const fs::path& checkpoint) {
    std::error_code ignored;
    const bool is_folder = fs::is_directory(checkpoint, ignored);
    const fs::path folder = is_folder ? checkpoint : find_parent(checkpoint);
    UndoPlace of_folder{
        .folder = folder, .undo = folder / undo_name, .receipt = folder / receipt_name};
    if (is_folder) {
        const auto file = find_only_weights(folder);
        const bool is_of_file = !fs::exists(of_folder.undo, ignored) && file &&
                                fs::exists(find_undo_place_beside(*file).undo, ignored);
        return is_of_file ? find_undo_place_beside(*file) : of_folder;
    }
    if (checkpoint::is_whole_gguf(checkpoint)) {
        return find_undo_place_beside(checkpoint);
    }
    if (checkpoint.extension() != ".safetensors" || checkpoint.filename() == "model.safetensors") {
        return of_folder;
    }
    // What the folder's undo file holds of this file was repaired as the folder.
    return is_of_undo_file(of_folder, checkpoint) ? of_folder : find_undo_place_beside(checkpoint);
}

fs::path find_receipt(const checkpoint::Checkpoint& repaired) {
    std::error_code ignored;
    const fs::path beside = find_undo_place_beside(repaired.path()).receipt;
    if (repaired.is_single_file()) {
        if (fs::exists(beside, ignored) || checkpoint::is_whole_gguf(repaired.path())) {
            return beside;
        }
        return repaired.folder() / receipt_name;
    }
    const fs::path receipt = find_undo_place(repaired.path()).receipt;
    const auto file = find_only_weights(repaired.folder());
    // Of a file that was repaired by its own name, and whose undo file is gone.
    const bool is_of_file = !fs::exists(receipt, ignored) && file &&
                            fs::exists(find_undo_place_beside(*file).receipt, ignored);
    return is_of_file ? find_undo_place_beside(*file).receipt : receipt;
}

}  // namespace anamnesis::restore
