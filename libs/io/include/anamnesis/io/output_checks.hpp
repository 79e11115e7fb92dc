// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <string_view>
#include <vector>

namespace anamnesis::io {

/// A file that is there is replaced only where it is no input and lies in no folder that is one,
/// whatever links and ".." lead to it. `option` is the option that names the target. An input that
/// is empty or does not exist is none; a target that does not exist is always allowed.
/// Errors: `usage`.
void refuse_to_replace_input(std::string_view option,
                             const std::filesystem::path& target,
                             const std::vector<std::filesystem::path>& inputs);

/// A folder of results must not be that of a checkpoint or an adapter: hold a config or weights.
/// One that does not exist is allowed.
/// Errors: `usage`.
void refuse_checkpoint_folder(const std::filesystem::path& folder);

/// A folder that `command` fills must be new or empty, but for hidden files (what a call that was
/// killed has begun). One that it filled before is for the caller to tell.
/// Errors: `usage`.
void require_new_folder(const std::filesystem::path& folder, std::string_view command);

/// Errors: `io` where the folder that the process works in was removed.
void require_working_folder();

}  // namespace anamnesis::io
