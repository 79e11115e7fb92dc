// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

namespace anamnesis::io {

/// An open file, read and written at explicit offsets. Never mapped: a file that shrinks while it
/// is read gives an error here and a signal there.
///
/// Owner:   the descriptor; move-only.
/// Threads: reads and writes at different offsets may run at once.
/// Errors:  `not_found`, `io` or `exhausted`, naming the path.
class File {
public:
    /// Errors: `usage` for what is no regular file: a folder, a device, a pipe. None makes it wait.
    static File open_for_reading(const std::filesystem::path& path);
    /// For `read_next` alone: a file, a pipe, or standard input where the path is "-".
    static File open_as_stream(const std::filesystem::path& path);
    /// The file must exist; its length does not change by opening. Errors: as `open_for_reading`.
    static File open_for_update(const std::filesystem::path& path);
    /// The file must not exist.
    static File create(const std::filesystem::path& path);

    File(File&& other) noexcept;
    File& operator=(File&& other) noexcept;
    File(const File&) = delete;
    File& operator=(const File&) = delete;
    ~File();

    const std::filesystem::path& path() const& noexcept { return path_; }
    int descriptor() const noexcept { return descriptor_; }

    std::uint64_t size() const;

    /// Fills `target` from `offset`. Errors: `malformed` where the file ends before.
    void read_at(std::uint64_t offset, std::span<std::byte> target) const;

    /// Fills `target` with the next bytes; gives how many there were, fewer only at the end.
    std::size_t read_next(std::span<std::byte> target) const;

    void write_at(std::uint64_t offset, std::span<const std::byte> source) const;

    /// Sets the length; a longer file reads as zeros at its end.
    void resize(std::uint64_t size) const;

    /// Asks for the blocks of `size` bytes now, so that a full disk shows before work is done.
    /// Does nothing where the file system cannot.
    void reserve(std::uint64_t size) const;

    /// Starts writing to the disk what was written so far; waits only for a place in its queue.
    void start_writeback() const noexcept;

    /// Waits until data and length are on the disk.
    void sync() const;

    /// Takes the file for this process until it is closed; false where another process has it.
    bool try_lock() const;

    /// Closes and reports what `close` says; the destructor closes silently.
    void close();

private:
    File(int descriptor, std::filesystem::path path);
    void require_regular() const;

    int descriptor_ = -1;
    std::filesystem::path path_;
};

/// Copies bytes from file to file inside the kernel, sharing blocks where the file system can;
/// falls back to a small buffer where the kernel cannot.
void copy_range(const File& source,
                std::uint64_t source_offset,
                const File& target,
                std::uint64_t target_offset,
                std::uint64_t size);

/// Makes `target` (which must not exist) share the blocks of `source`; false where the file system
/// cannot.
bool try_reflink(const std::filesystem::path& source, const std::filesystem::path& target);

/// Waits until the entries of a folder are on the disk.
void sync_folder(const std::filesystem::path& folder);

/// Bytes an unprivileged user may still write to the file system that holds `path`.
std::uint64_t free_bytes(const std::filesystem::path& path);

/// The whole of a small file. Errors: `malformed` above `limit` bytes.
std::string read_text(const std::filesystem::path& path, std::uint64_t limit = 64U << 20U);

}  // namespace anamnesis::io
