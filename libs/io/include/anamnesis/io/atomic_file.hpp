// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <string_view>

#include "anamnesis/io/file.hpp"

namespace anamnesis::io {

/// A file that appears whole or not at all: written as a temporary sibling, renamed by `commit`.
class AtomicFile {
public:
    explicit AtomicFile(std::filesystem::path target);
    AtomicFile(const AtomicFile&) = delete;
    AtomicFile& operator=(const AtomicFile&) = delete;
    /// Removes the temporary unless committed.
    ~AtomicFile();

    const File& file() const { return file_; }

    /// Syncs, renames over the target, syncs the folder. At most once.
    void commit();

private:
    std::filesystem::path target_;
    std::filesystem::path temporary_;
    File file_;
};

/// Replaces `target` by `text`, whole or not at all.
void write_text_atomically(const std::filesystem::path& target, std::string_view text);

}  // namespace anamnesis::io
