// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>

namespace anamnesis::io {

/// A file mapped for reading, for weights that are used where they lie. A file that is truncated
/// while it is mapped ends the process at the next access: everything that copies reads through
/// `File` instead.
///
/// Owner:   the mapping; move-only.
/// Errors:  `not_found` or `io`, naming the path.
class MappedFile {
public:
    static MappedFile open(const std::filesystem::path& path);

    MappedFile(MappedFile&& other) noexcept;
    MappedFile& operator=(MappedFile&& other) noexcept;
    MappedFile(const MappedFile&) = delete;
    MappedFile& operator=(const MappedFile&) = delete;
    ~MappedFile();

    std::span<const std::byte> bytes() const& noexcept { return bytes_; }
    std::span<const std::byte> bytes() const&& = delete;

private:
    explicit MappedFile(std::span<const std::byte> bytes) : bytes_(bytes) {}

    std::span<const std::byte> bytes_;
};

}  // namespace anamnesis::io
