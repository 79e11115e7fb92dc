// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <string_view>
#include <utility>

#include "anamnesis/base/json.hpp"

#include "folder_snapshot.hpp"

namespace anamnesis::testing {

using Rename = std::function<std::string(const std::string&)>;

/// Writes a safetensors file again with other names, the bytes of tensors as they were.
inline void rename_tensors_of_file(const std::filesystem::path& path, const Rename& rename) {
    const std::string bytes = read_file(path);
    std::uint64_t length = 0;
    for (unsigned i = 0; i < 8; ++i) {
        length |= std::uint64_t{static_cast<unsigned char>(bytes[i])} << (8 * i);
    }
    const Json header = Json::parse(std::string_view(bytes).substr(8, length));
    Json::Object renamed;
    for (const auto& [name, value] : header.as_object("header")) {
        renamed.emplace_back(name == "__metadata__" ? name : rename(name), value);
    }
    std::string text = Json(std::move(renamed)).dump();
    text.append((8 - text.size() % 8) % 8, ' ');
    std::string file;
    for (unsigned shift = 0; shift < 64; shift += 8) {
        file.push_back(static_cast<char>((std::uint64_t{text.size()} >> shift) & 0xFFU));
    }
    std::ofstream(path, std::ios::binary) << file << text << bytes.substr(8 + length);
}

/// The same for every weight file of a folder, whose index goes.
inline void rename_tensors(const std::filesystem::path& folder, const Rename& rename) {
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
        if (entry.path().extension() == ".safetensors") {
            rename_tensors_of_file(entry.path(), rename);
        }
    }
    std::filesystem::remove(folder / "model.safetensors.index.json");
}

}  // namespace anamnesis::testing
