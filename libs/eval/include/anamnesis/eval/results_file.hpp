// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

#include "anamnesis/base/json.hpp"
#include "anamnesis/io/file.hpp"

namespace anamnesis::eval {

/// Results as JSON lines, appended as they come: each line is one write. A process that is killed
/// leaves at most the beginning of a line, which the next one cuts off.
///
/// Owner: the file, and a lock on it: one process at a time.
class ResultsFile {
public:
    /// Errors: `usage` where another process writes the file; `malformed`, naming the line, for a
    ///         line that is no JSON.
    static ResultsFile open(const std::filesystem::path& path);

    /// What stood there when it was opened.
    const std::vector<Json>& lines() const& { return lines_; }
    const std::vector<Json>& lines() const&& = delete;

    void append(const Json& line);

    /// Waits until all lines are on the disk.
    void sync() const { file_.sync(); }

private:
    ResultsFile(io::File file, std::vector<Json> lines, std::uint64_t size);

    io::File file_;
    std::vector<Json> lines_;
    std::uint64_t size_ = 0;
};

/// The whole lines of a results file, without a lock on it.
std::vector<Json> read_results(const std::filesystem::path& path);

}  // namespace anamnesis::eval
