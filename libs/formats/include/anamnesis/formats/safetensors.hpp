// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "anamnesis/base/bytes.hpp"
#include "anamnesis/base/dtype.hpp"
#include "anamnesis/base/shape.hpp"
#include "anamnesis/formats/catalog.hpp"
#include "anamnesis/io/file.hpp"

namespace anamnesis::formats {

/// One tensor of a safetensors file.
struct TensorInfo {
    std::string name;
    DType dtype = DType::f32;
    Shape shape{};
    ByteRange data;  ///< within the data section
};

/// The header of a safetensors file.
///
/// 1. 8 bytes: N, the length of the header, little-endian.
/// 2. N bytes of UTF-8 JSON: `{"name": {"dtype", "shape", "data_offsets": [begin, end]}, …,
///    "__metadata__": {string: string}}`, padded with spaces.
/// 3. The data section, to the end of the file, row-major and little-endian.
///
/// The reader accepts what the reference reader accepts and refuses in addition: duplicate
/// keys, a byte order mark, floats where integers belong. No hole, no overlap, no byte after the
/// last tensor.
/// Source: github.com/huggingface/safetensors, README and tensor.rs, 0.8.
struct SafetensorsHeader {
    std::vector<TensorInfo> tensors;  ///< in the order of their bytes
    std::vector<std::pair<std::string, std::string>> metadata;
    std::vector<std::string> warnings;  ///< allowed, but no writer should do it
};

/// The largest header a reader accepts, as in the reference implementation.
inline constexpr std::uint64_t max_header_bytes = 100'000'000;

/// Reads a header's JSON for a data section of `data_bytes`.
/// Errors: `malformed`, naming the tensor; `unsupported` for an unknown dtype.
SafetensorsHeader parse_safetensors_header(std::string_view json, std::uint64_t data_bytes);

/// A safetensors file whose header was read and checked. No tensor byte is touched by `open`.
class SafetensorsFile {
public:
    /// Errors: `malformed`; a file of another kind (a Git LFS pointer, a web page, a pickle, GGUF…)
    /// is called what it is.
    static SafetensorsFile open(const std::filesystem::path& path);

    const std::filesystem::path& path() const& noexcept { return file_->path(); }
    const io::File& file() const& noexcept { return *file_; }
    std::shared_ptr<const io::File> shared_file() const noexcept { return file_; }
    const std::vector<TensorInfo>& tensors() const& noexcept { return header_.tensors; }
    const SafetensorsHeader& header() const& noexcept { return header_; }
    /// Where the data section begins in the file.
    std::uint64_t data_begin() const noexcept { return data_begin_; }
    std::uint64_t file_bytes() const noexcept { return file_bytes_; }

    /// Null where there is none.
    const TensorInfo* find(std::string_view name) const&;

private:
    SafetensorsFile() = default;
    static SafetensorsFile read(const std::filesystem::path& path);

    std::shared_ptr<const io::File> file_;
    SafetensorsHeader header_;
    std::vector<std::uint32_t> by_name_;
    std::uint64_t data_begin_ = 0;
    std::uint64_t file_bytes_ = 0;
};

/// The same file as a catalog. Errors: those of `SafetensorsFile::open`.
Catalog open_safetensors_catalog(const std::filesystem::path& path);

}  // namespace anamnesis::formats
