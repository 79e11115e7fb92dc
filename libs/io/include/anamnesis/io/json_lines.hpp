// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <vector>

#include "anamnesis/base/json.hpp"
#include "anamnesis/io/file.hpp"

namespace anamnesis::io {

/// A file of JSON lines that are appended as they come: each line is one write. A process that is
/// killed leaves at most the beginning of a line, which the next one cuts off.
///
/// Owner:  the file, and a lock on it: one process at a time.
class JsonLines {
public:
    /// Opens or creates the file.
    /// Errors: `usage` where another process writes it; `malformed`, naming the line, for a line
    ///         that is no JSON.
    static JsonLines open(const std::filesystem::path& path);

    /// What the file held when it was opened.
    const std::vector<Json>& lines() const& { return lines_; }
    const std::vector<Json>& lines() const&& = delete;

    /// Cuts the file after its first `count` lines.
    void keep_first(std::size_t count);

    void append(const Json& line);

    /// Waits until all lines are on the disk.
    void sync() const { file_.sync(); }

private:
    JsonLines(File file, std::vector<Json> lines, std::vector<std::uint64_t> ends);

    File file_;
    std::vector<Json> lines_;
    std::vector<std::uint64_t> ends_;  ///< of each line of `lines_`, in bytes
    std::uint64_t size_ = 0;
};

/// The whole lines of such a file, without a lock on it.
/// Errors: `not_found`, `io`; `malformed`, naming the line.
std::vector<Json> read_json_lines(const std::filesystem::path& path);

}  // namespace anamnesis::io
