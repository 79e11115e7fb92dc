// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "anamnesis/base/dtype.hpp"
#include "anamnesis/base/shape.hpp"
#include "anamnesis/io/file.hpp"

namespace anamnesis::formats {

struct GgufFile;

/// One tensor of a container: what it is, and where its bytes lie in the file.
struct CatalogEntry {
    std::string name;
    DType dtype = DType::f32;
    Shape shape{};
    std::uint64_t offset = 0;  ///< of the first byte, from the start of the file
    std::uint64_t bytes = 0;
};

/// A file of weights whose directory was read and checked, whatever container it is. No tensor
/// byte was touched. Every entry lies inside the file; no two overlap.
struct Catalog {
    std::shared_ptr<const io::File> file;
    std::uint64_t file_bytes = 0;
    std::uint64_t data_begin = 0;       ///< all before it is the directory
    std::vector<CatalogEntry> tensors;  ///< in the order of their bytes
    std::vector<std::pair<std::string, std::string>> metadata;
    std::vector<std::string> warnings;       ///< allowed, but no writer should do it
    std::shared_ptr<const GgufFile> gguf{};  ///< the whole header, where the container is GGUF
};

/// Opens a container by the ending of its name (".safetensors", ".gguf").
/// Errors: `unsupported` for another ending; those of the container's reader.
Catalog open_catalog(const std::filesystem::path& path);

}  // namespace anamnesis::formats
