// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

namespace anamnesis::formats {

/// What the first bytes of a file say that it is, where it is not what its name promises, with what
/// to do: "a Git LFS pointer to a file of 4976698672 bytes, not the file itself; fetch it with 'git
/// lfs pull'". Nothing where they tell nothing. `text` is at least the first 512 bytes, or all.
std::optional<std::string> describe_foreign_bytes(std::string_view text);

/// The same for a file on the disk; nothing for one that cannot be read.
std::optional<std::string> describe_foreign_file(const std::filesystem::path& path);

/// Whether a file is the pointer that Git LFS leaves in the place of one that was not fetched.
bool is_lfs_pointer(const std::filesystem::path& path);

}  // namespace anamnesis::formats
