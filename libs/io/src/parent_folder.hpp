// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>

namespace anamnesis::io {

/// The folder that a path lies in; "." for a bare name.
inline std::filesystem::path parent_folder(const std::filesystem::path& path) {
    return path.has_parent_path() ? path.parent_path() : std::filesystem::path(".");
}

}  // namespace anamnesis::io
