// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/io/file_digest.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "anamnesis/base/digest.hpp"
#include "anamnesis/io/file.hpp"

namespace anamnesis::io {

std::string digest_file(const std::filesystem::path& path) {
    constexpr std::uint64_t piece = 1U << 20U;
    const File file = File::open_for_reading(path);
    const std::uint64_t size = file.size();
    Sha256 digest;
    std::vector<std::byte> bytes(std::min(size, piece));
    for (std::uint64_t at = 0; at < size; at += piece) {
        const auto part = std::span(bytes).first(std::min(piece, size - at));
        file.read_at(at, part);
        digest.update(part);
    }
    return digest.finish();
}

}  // namespace anamnesis::io
