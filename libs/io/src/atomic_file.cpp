// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/io/atomic_file.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <span>
#include <string_view>
#include <system_error>
#include <utility>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/io/file.hpp"

#include "parent_folder.hpp"

namespace anamnesis::io {
namespace {

std::filesystem::path temporary_for(const std::filesystem::path& target) {
    return parent_folder(target) / format(".{}.partial-{}", target.filename().string(), ::getpid());
}

File create_afresh(const std::filesystem::path& path) {
    // A leftover of a dead process with our number holds nothing anyone waits for.
    std::error_code ignored;
    std::filesystem::remove(path, ignored);
    return File::create(path);
}

}  // namespace

AtomicFile::AtomicFile(std::filesystem::path target)
    : target_(std::move(target)),
      temporary_(temporary_for(target_)),
      file_(create_afresh(temporary_)) {
    struct stat status{};
    if (::stat(target_.c_str(), &status) == 0) {
        static_cast<void>(::fchmod(file_.descriptor(), status.st_mode & 07777U));
    }
}

AtomicFile::~AtomicFile() {
    if (!temporary_.empty()) {
        ::unlink(temporary_.c_str());
    }
}

void AtomicFile::commit() {
    file_.sync();
    file_.close();
    if (::rename(temporary_.c_str(), target_.c_str()) != 0) {
        const int reason = errno;
        throw io_error(format("renaming {} to {}",
                              in_quotes(temporary_.string(), 1000),
                              in_quotes(target_.string(), 1000)),
                       reason);
    }
    temporary_.clear();
    sync_folder(parent_folder(target_));
}

void write_text_atomically(const std::filesystem::path& target, std::string_view text) {
    AtomicFile file(target);
    file.file().write_at(0, std::as_bytes(std::span(text)));
    file.commit();
}

}  // namespace anamnesis::io
