// SPDX-License-Identifier: Apache-2.0
// Input: the text of a model.safetensors.index.json.
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>

#include "anamnesis/formats/shard_index.hpp"

#include "fuzz_target.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    anamnesis::fuzz::accept_value_or_refusal([&] {
        const auto index =
            anamnesis::formats::parse_shard_index(anamnesis::fuzz::to_text(data, size));
        const auto files = index.files();
        anamnesis::fuzz::expect(files.size() <= index.weight_map.size(), "no file is listed twice");
        for (const std::string& file : files) {
            const std::filesystem::path joined = std::filesystem::path("folder") / file;
            anamnesis::fuzz::expect(
                joined.parent_path() == "folder" && joined.lexically_normal() == joined,
                "a file lies in the folder");
        }
    });
    return 0;
}
