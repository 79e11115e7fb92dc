// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/io/atomic_directory.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <string>
#include <system_error>
#include <thread>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/io/file.hpp"

#include "parent_folder.hpp"

namespace anamnesis::io {
namespace {

constexpr mode_t new_folder_mode = 0777;

std::filesystem::path without_trailing_slash(const std::filesystem::path& path) {
    return path.has_filename() ? path : path.parent_path();
}

/// Opens and locks a folder; -1 where another process holds it or it is gone.
int lock_folder(const std::filesystem::path& folder) {
    const int descriptor = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptor >= 0 && ::flock(descriptor, LOCK_EX | LOCK_NB) != 0) {
        ::close(descriptor);
        return -1;
    }
    return descriptor;
}

/// Removes partial folders of this target whose process is dead: nobody holds their lock.
void remove_abandoned(const std::filesystem::path& parent, const std::string& prefix) {
    std::error_code ignored;
    for (const auto& entry : std::filesystem::directory_iterator(parent, ignored)) {
        if (!entry.path().filename().string().starts_with(prefix)) {
            continue;
        }
        const int lock = lock_folder(entry.path());
        if (lock >= 0) {
            std::filesystem::remove_all(entry.path(), ignored);
            ::close(lock);
        }
    }
}

bool is_same_folder(int descriptor, const std::filesystem::path& folder) {
    struct stat held{};
    struct stat named{};
    return ::fstat(descriptor, &held) == 0 && ::stat(folder.c_str(), &named) == 0 &&
           held.st_dev == named.st_dev && held.st_ino == named.st_ino;
}

/// Creates and locks a folder; -1 where the file system has no locks. Between the two another run
/// may take the folder for abandoned and remove it; then it is created again.
int create_locked(const std::filesystem::path& folder) {
    constexpr int most_tries = 100;
    for (int tries = 0;; ++tries) {
        if (::mkdir(folder.c_str(), new_folder_mode) != 0) {
            const int reason = errno;
            if (reason != EEXIST || tries == most_tries) {
                throw io_error(format("creating folder {}", in_quotes(folder.string(), 1000)),
                               reason);
            }
        } else {
            const int lock = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
            const bool is_locked = lock >= 0 && ::flock(lock, LOCK_EX | LOCK_NB) == 0;
            const bool is_held_by_another = !is_locked && errno == EWOULDBLOCK;
            if (is_locked && is_same_folder(lock, folder)) {
                return lock;
            }
            if (lock >= 0) {
                ::close(lock);
                if (!is_locked && !is_held_by_another) {
                    return -1;
                }
            }
        }
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
}

}  // namespace

AtomicDirectory::Parents::Parents(const std::filesystem::path& innermost) {
    std::error_code error;
    for (std::filesystem::path folder = innermost;
         !folder.empty() && !std::filesystem::exists(folder, error);
         folder = folder.parent_path()) {
        made_.push_back(folder);
    }
    std::filesystem::create_directories(innermost, error);
    if (error) {
        remove_empty();
        throw io_error(format("creating folder {}", in_quotes(innermost.string(), 1000)),
                       error.value());
    }
}

AtomicDirectory::Parents::~Parents() {
    remove_empty();
}

void AtomicDirectory::Parents::remove_empty() const noexcept {
    for (const std::filesystem::path& folder : made_) {
        std::error_code ignored;
        std::filesystem::remove(folder, ignored);  // refuses a folder that holds anything
    }
}

AtomicDirectory::AtomicDirectory(const std::filesystem::path& target)
    : target_(without_trailing_slash(target)), parents_(parent_folder(target_)) {
    std::error_code ignored;
    const auto status = std::filesystem::symlink_status(target_, ignored);
    if (std::filesystem::exists(status)) {
        const bool is_empty_folder = std::filesystem::is_directory(status) &&
                                     std::filesystem::is_empty(target_, ignored) && !ignored;
        if (!is_empty_folder) {
            throw Error(ErrorKind::usage,
                        format("output {} exists already; name a folder that does not exist, or "
                               "remove it first",
                               in_quotes(target_.string(), 1000)));
        }
    }
    const std::filesystem::path parent = parent_folder(target_);
    const std::string prefix = format(".{}.partial-", target_.filename().string());
    remove_abandoned(parent, prefix);
    partial_ = parent / format("{}{}", prefix, ::getpid());
    lock_ = create_locked(partial_);
}

AtomicDirectory::~AtomicDirectory() {
    if (!is_committed_) {
        std::error_code ignored;
        std::filesystem::remove_all(partial_, ignored);
    }
    if (lock_ >= 0) {
        ::close(lock_);
    }
}

void AtomicDirectory::commit() {
    sync_folder(partial_);
    // rename(2) replaces an empty folder and refuses anything else, so nothing can be lost here.
    if (::rename(partial_.c_str(), target_.c_str()) != 0) {
        const int reason = errno;
        if (reason == ENOTEMPTY || reason == EEXIST || reason == ENOTDIR) {
            throw Error(ErrorKind::usage,
                        format("output {} was made by another run in the meantime; what this run "
                               "wrote is removed",
                               in_quotes(target_.string(), 1000)));
        }
        throw io_error(format("renaming {} to {}",
                              in_quotes(partial_.string(), 1000),
                              in_quotes(target_.string(), 1000)),
                       reason);
    }
    is_committed_ = true;
    parents_.keep();
    sync_folder(parent_folder(target_));
}

}  // namespace anamnesis::io
