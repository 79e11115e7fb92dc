// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/io/sampled_digest.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "anamnesis/base/digest.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/io/file.hpp"

namespace anamnesis::io {

namespace fs = std::filesystem;

std::string sampled_digest(const std::string& folder) {
    constexpr std::uint64_t stride = 1U << 20U;
    constexpr std::uint64_t sample = 4096;
    constexpr std::uint64_t whole = 16 * stride;
    std::vector<fs::path> files;
    if (fs::is_directory(folder)) {
        for (const auto& entry : fs::directory_iterator(folder)) {
            const auto extension = entry.path().extension();
            const bool is_weights = extension == ".safetensors" || extension == ".gguf";
            const auto name = entry.path().filename();
            if (is_weights || name == "config.json" || name == "adapter_config.json") {
                files.push_back(entry.path());
            }
        }
    } else {
        files.emplace_back(folder);
    }
    std::ranges::sort(files);
    Sha256 digest;
    std::vector<std::byte> block(sample);
    for (const fs::path& path : files) {
        const io::File file = io::File::open_for_reading(path);
        const std::uint64_t size = file.size();
        digest.update(format("{} {}\n", path.filename().string(), size));
        // Of a small file a sample would be its header alone.
        const std::uint64_t step = size <= whole ? sample : stride;
        for (std::uint64_t at = 0; at < size; at += step) {
            block.resize(std::min(sample, size - at));
            file.read_at(at, block);
            digest.update(block);
        }
    }
    return digest.finish();
}

}  // namespace anamnesis::io
