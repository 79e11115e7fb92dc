// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <string>

namespace anamnesis::io {

/// SHA-256 of all bytes of a file, in hexadecimal. Reads it in pieces. Errors: as `File`.
std::string digest_file(const std::filesystem::path& path);

}  // namespace anamnesis::io
