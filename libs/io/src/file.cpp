// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/io/file.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/types.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <linux/falloc.h>
#include <linux/fs.h>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/text.hpp"

namespace anamnesis::io {
namespace {

constexpr mode_t new_file_mode = 0666;

[[noreturn]] void fail(std::string_view action, const std::filesystem::path& path) {
    const int reason = errno;
    throw io_error(format("{} {}", action, in_quotes(path.string(), 1000)), reason);
}

/// Copies through memory where the kernel cannot copy between the two files.
void copy_by_buffer(const File& source,
                    std::uint64_t source_offset,
                    const File& target,
                    std::uint64_t target_offset,
                    std::uint64_t size) {
    std::vector<std::byte> buffer(std::min<std::uint64_t>(size, 1U << 20U));
    while (size > 0) {
        const auto part = std::span(buffer).first(std::min<std::uint64_t>(size, buffer.size()));
        source.read_at(source_offset, part);
        target.write_at(target_offset, part);
        source_offset += part.size();
        target_offset += part.size();
        size -= part.size();
    }
}

bool kernel_cannot_copy(int reason) {
    return reason == EXDEV || reason == ENOSYS || reason == EINVAL || reason == EOPNOTSUPP ||
           reason == EPERM || reason == EBADF;
}

}  // namespace

File::File(int descriptor, std::filesystem::path path)
    : descriptor_(descriptor), path_(std::move(path)) {}

File File::open_for_reading(const std::filesystem::path& path) {
    // A pipe whose other end nobody has opened would block here for ever.
    const int descriptor = ::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (descriptor < 0) {
        fail("opening", path);
    }
    File file(descriptor, path);
    file.require_regular();
    return file;
}

File File::open_as_stream(const std::filesystem::path& path) {
    const int descriptor = path == "-" ? ::fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0)
                                       : ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) {
        fail("opening", path);
    }
    File file(descriptor, path);
    struct stat status{};
    if (::fstat(descriptor, &status) == 0 && S_ISDIR(status.st_mode)) {
        throw Error(ErrorKind::usage,
                    format("{} is a folder, a file was expected", in_quotes(path.string(), 1000)));
    }
    return file;
}

File File::open_for_update(const std::filesystem::path& path) {
    const int descriptor = ::open(path.c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (descriptor < 0) {
        fail("opening for writing", path);
    }
    File file(descriptor, path);
    file.require_regular();
    return file;
}

File File::create(const std::filesystem::path& path) {
    const int descriptor =
        ::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, new_file_mode);
    if (descriptor < 0) {
        fail("creating", path);
    }
    return {descriptor, path};
}

File::File(File&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)), path_(std::move(other.path_)) {}

File& File::operator=(File&& other) noexcept {
    std::swap(descriptor_, other.descriptor_);
    std::swap(path_, other.path_);
    return *this;
}

File::~File() {
    if (descriptor_ >= 0) {
        ::close(descriptor_);
    }
}

void File::require_regular() const {
    struct stat status{};
    if (::fstat(descriptor_, &status) != 0) {
        fail("reading the size of", path_);
    }
    if (!S_ISREG(status.st_mode)) {
        throw Error(ErrorKind::usage,
                    format("{} is no regular file", in_quotes(path_.string(), 1000)));
    }
}

std::uint64_t File::size() const {
    struct stat status{};
    if (::fstat(descriptor_, &status) != 0) {
        fail("reading the size of", path_);
    }
    return static_cast<std::uint64_t>(status.st_size);
}

void File::read_at(std::uint64_t offset, std::span<std::byte> target) const {
    while (!target.empty()) {
        const ssize_t count =
            ::pread(descriptor_, target.data(), target.size(), static_cast<off_t>(offset));
        if (count < 0) {
            if (errno == EINTR) {
                continue;
            }
            fail("reading", path_);
        }
        if (count == 0) {
            throw Error(ErrorKind::malformed,
                        format("{} ends at byte {}, {} more were expected",
                               in_quotes(path_.string(), 1000),
                               offset,
                               target.size()));
        }
        target = target.subspan(static_cast<std::size_t>(count));
        offset += static_cast<std::uint64_t>(count);
    }
}

std::size_t File::read_next(std::span<std::byte> target) const {
    std::size_t done = 0;
    while (done < target.size()) {
        const ssize_t count = ::read(descriptor_, &target[done], target.size() - done);
        if (count < 0) {
            if (errno == EINTR) {
                continue;
            }
            fail("reading", path_);
        }
        if (count == 0) {
            break;
        }
        done += static_cast<std::size_t>(count);
    }
    return done;
}

void File::write_at(std::uint64_t offset, std::span<const std::byte> source) const {
    while (!source.empty()) {
        const ssize_t count =
            ::pwrite(descriptor_, source.data(), source.size(), static_cast<off_t>(offset));
        if (count < 0) {
            if (errno == EINTR) {
                continue;
            }
            fail("writing", path_);
        }
        source = source.subspan(static_cast<std::size_t>(count));
        offset += static_cast<std::uint64_t>(count);
    }
}

void File::resize(std::uint64_t size) const {
    if (::ftruncate(descriptor_, static_cast<off_t>(size)) != 0) {
        fail("resizing", path_);
    }
}

void File::reserve(std::uint64_t size) const {
    if (size == 0) {
        return;
    }
    while (::fallocate(descriptor_, FALLOC_FL_KEEP_SIZE, 0, static_cast<off_t>(size)) != 0) {
        if (errno == EINTR) {
            continue;
        }
        if (errno == EOPNOTSUPP || errno == ENOSYS) {
            return;
        }
        fail("reserving space for", path_);
    }
}

void File::start_writeback() const noexcept {
    // A hint: whether it worked shows when `sync` waits. A size of zero reaches to the end.
    static_cast<void>(::sync_file_range(descriptor_, 0, 0, SYNC_FILE_RANGE_WRITE));
}

void File::sync() const {
    if (::fdatasync(descriptor_) != 0) {
        fail("syncing", path_);
    }
}

bool File::try_lock() const {
    if (::flock(descriptor_, LOCK_EX | LOCK_NB) == 0) {
        return true;
    }
    if (errno == EWOULDBLOCK) {
        return false;
    }
    throw io_error(format("locking {}", in_quotes(path_.string())), errno);
}

void File::close() {
    const int descriptor = std::exchange(descriptor_, -1);
    if (descriptor >= 0 && ::close(descriptor) != 0 && errno != EINTR) {
        fail("closing", path_);
    }
}

void copy_range(const File& source,
                std::uint64_t source_offset,
                const File& target,
                std::uint64_t target_offset,
                std::uint64_t size) {
    auto from = static_cast<off64_t>(source_offset);
    auto to = static_cast<off64_t>(target_offset);
    while (size > 0) {
        const ssize_t count =
            ::copy_file_range(source.descriptor(), &from, target.descriptor(), &to, size, 0);
        if (count < 0) {
            if (errno == EINTR) {
                continue;
            }
            if (!kernel_cannot_copy(errno)) {
                fail(format("copying {} to", in_quotes(source.path().string(), 1000)),
                     target.path());
            }
        }
        if (count <= 0) {
            // Zero means the end of the source, or a file system that pretends: reading decides.
            copy_by_buffer(source,
                           static_cast<std::uint64_t>(from),
                           target,
                           static_cast<std::uint64_t>(to),
                           size);
            return;
        }
        size -= static_cast<std::uint64_t>(count);
    }
}

bool try_reflink(const std::filesystem::path& source, const std::filesystem::path& target) {
    const File from = File::open_for_reading(source);
    const File to = File::create(target);
    if (::ioctl(to.descriptor(), FICLONE, from.descriptor()) == 0) {
        return true;
    }
    ::unlink(target.c_str());
    return false;
}

void sync_folder(const std::filesystem::path& folder) {
    const int descriptor = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptor < 0) {
        fail("opening folder", folder);
    }
    const int result = ::fsync(descriptor);
    const int reason = errno;
    ::close(descriptor);
    // Some network file systems cannot sync a folder and say EINVAL.
    if (result != 0 && reason != EINVAL) {
        throw io_error(format("syncing folder {}", in_quotes(folder.string(), 1000)), reason);
    }
}

std::uint64_t free_bytes(const std::filesystem::path& path) {
    struct statvfs status{};
    if (::statvfs(path.c_str(), &status) != 0) {
        fail("reading the free space at", path);
    }
    return static_cast<std::uint64_t>(status.f_bavail) * status.f_frsize;
}

std::string read_text(const std::filesystem::path& path, std::uint64_t limit) {
    const File file = File::open_for_reading(path);
    const std::uint64_t size = file.size();
    if (size > limit) {
        throw Error(ErrorKind::malformed,
                    format("{} has {} bytes, at most {} were expected",
                           in_quotes(path.string(), 1000),
                           size,
                           limit));
    }
    std::string text(size, '\0');
    file.read_at(0, std::as_writable_bytes(std::span(text)));
    return text;
}

}  // namespace anamnesis::io
