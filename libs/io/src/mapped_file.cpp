// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/io/mapped_file.hpp"

#include <sys/mman.h>

#include <cerrno>
#include <cstddef>
#include <filesystem>
#include <span>
#include <utility>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/io/file.hpp"

namespace anamnesis::io {

MappedFile MappedFile::open(const std::filesystem::path& path) {
    const File file = File::open_for_reading(path);
    const auto size = static_cast<std::size_t>(file.size());
    if (size == 0) {
        return MappedFile({});
    }
    void* start = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file.descriptor(), 0);
    if (start == MAP_FAILED) {
        throw io_error(format("mapping {}", in_quotes(path.string())), errno);
    }
    return MappedFile(std::span(static_cast<const std::byte*>(start), size));
}

MappedFile::MappedFile(MappedFile&& other) noexcept : bytes_(std::exchange(other.bytes_, {})) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
    std::swap(bytes_, other.bytes_);
    return *this;
}

MappedFile::~MappedFile() {
    if (!bytes_.empty()) {
        // The kernel wants the address it gave, without const.
        ::munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
    }
}

}  // namespace anamnesis::io
