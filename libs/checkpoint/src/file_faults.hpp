// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/finding.hpp"

namespace anamnesis::checkpoint {

/// Refuses a folder without weights that can be read. `names` is what the folder holds.
/// Errors: `unsupported` for weights in other formats, named; `not_found` else, naming the folders
/// below that hold weights.
[[noreturn]] void refuse_folder_without_weights(const std::filesystem::path& folder,
                                                const std::vector<std::string>& names);

/// What to do about a path that does not exist: how to fetch it where it reads like the id of a
/// model on the hub. Begins with "; "; empty where there is no advice.
std::string advise_on_missing_path(const std::filesystem::path& path);

/// Tensors without a single value, as ZeRO-3 leaves them.
void find_empty_tensors(const Checkpoint& checkpoint, std::vector<Finding>& findings);

/// Small files (tokenizer, chat template…) that are not what their names say, such as Git LFS
/// pointers.
void find_unfetched_side_files(const std::filesystem::path& folder, std::vector<Finding>& findings);

}  // namespace anamnesis::checkpoint
