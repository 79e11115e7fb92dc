// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <vector>

namespace anamnesis::io {

/// A folder that appears whole or not at all: filled as `.NAME.partial-…` beside the target and
/// renamed by `commit`, which is the only line that makes it visible. Folders above the target that
/// are not there are made, and removed again where it does not come.
///
/// A partial folder is locked by its process; one whose process died is removed by the next run
/// for the same target.
class AtomicDirectory {
public:
    /// Errors: `usage` where the target exists and is not an empty folder.
    explicit AtomicDirectory(const std::filesystem::path& target);
    AtomicDirectory(const AtomicDirectory&) = delete;
    AtomicDirectory& operator=(const AtomicDirectory&) = delete;
    /// Removes the partial folder unless committed.
    ~AtomicDirectory();

    /// Where to put files before `commit`.
    const std::filesystem::path& path() const& noexcept { return partial_; }
    const std::filesystem::path& target() const& noexcept { return target_; }

    /// Syncs the partial folder, renames it to the target, syncs the parent. At most once. The
    /// files in it must be synced already.
    void commit();

private:
    /// The folders above the target that were made for it, innermost first.
    class Parents {
    public:
        explicit Parents(const std::filesystem::path& innermost);
        Parents(const Parents&) = delete;
        Parents& operator=(const Parents&) = delete;
        /// Removes those that are empty.
        ~Parents();

        void keep() { made_.clear(); }

    private:
        void remove_empty() const noexcept;

        std::vector<std::filesystem::path> made_;
    };

    std::filesystem::path target_;
    Parents parents_;  ///< goes after the partial folder
    std::filesystem::path partial_;
    int lock_ = -1;
    bool is_committed_ = false;
};

}  // namespace anamnesis::io
