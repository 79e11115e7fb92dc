// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "anamnesis/base/dtype.hpp"
#include "anamnesis/base/shape.hpp"
#include "anamnesis/formats/catalog.hpp"
#include "anamnesis/io/file.hpp"

namespace anamnesis::formats {

/// The type of a metadata value, with the number that the file has for it.
enum class GgufType : std::uint8_t {
    u8 = 0,
    i8 = 1,
    u16 = 2,
    i16 = 3,
    u32 = 4,
    i32 = 5,
    f32 = 6,
    boolean = 7,
    string = 8,
    array = 9,
    u64 = 10,
    i64 = 11,
    f64 = 12,
};
/// "u32", "string"…
std::string_view to_string(GgufType type) noexcept;

/// One metadata key, and where its value lies in the file: strings and arrays are read when they
/// are asked for.
struct GgufKey {
    std::string name;
    GgufType type = GgufType::u8;
    GgufType element = GgufType::u8;  ///< of an array; else the type itself
    std::uint64_t count = 1;          ///< elements of an array; else 1
    std::uint64_t offset = 0;         ///< of the first element, from the start of the file
    std::uint64_t bytes = 0;          ///< of all elements, with the lengths of strings
};

/// The metadata of a GGUF file by key.
///
/// Errors: every reader gives `malformed`, naming the key, for a value of another type or sign.
class GgufMetadata {
public:
    GgufMetadata() = default;
    /// `keys` in the order of the file, each name once.
    GgufMetadata(std::shared_ptr<const io::File> file, std::vector<GgufKey> keys);

    const std::vector<GgufKey>& keys() const& noexcept { return keys_; }
    /// Null where there is none.
    const GgufKey* find(std::string_view key) const&;
    bool has(std::string_view key) const { return find(key) != nullptr; }

    /// Nothing where the key is absent. An integer of any width that is not negative.
    std::optional<std::uint64_t> find_count(std::string_view key) const;
    /// A float or an integer of any width.
    std::optional<double> find_number(std::string_view key) const;
    std::optional<bool> find_flag(std::string_view key) const;
    std::optional<std::string> find_string(std::string_view key) const;
    /// An array of integers that are not negative; a single one is an array of one.
    std::optional<std::vector<std::uint64_t>> find_counts(std::string_view key) const;
    /// An array of floats or integers; a single one is an array of one.
    std::optional<std::vector<double>> find_numbers(std::string_view key) const;
    std::optional<std::vector<bool>> find_flags(std::string_view key) const;
    std::optional<std::vector<std::string>> find_strings(std::string_view key) const;

    /// A value as text: a string as it is, "[97 strings]" for an array.
    std::string describe(const GgufKey& key) const;

private:
    std::vector<std::byte> read(const GgufKey& key) const;

    std::shared_ptr<const io::File> file_;
    std::vector<GgufKey> keys_;
    std::vector<std::uint32_t> by_name_;
};

/// One tensor of a GGUF file.
struct GgufTensor {
    std::string name;
    DType dtype = DType::f32;
    Shape shape{};             ///< slowest dimension first: the file's own order reversed
    std::uint64_t offset = 0;  ///< of the first byte, from the start of the file
    std::uint64_t bytes = 0;
};

/// Where a file is in a set of shards: `split.no`, from 0, of `split.count`, with the number of
/// tensors of the whole set where the file says it.
struct GgufSplit {
    std::uint64_t number = 0;
    std::uint64_t count = 1;
    std::optional<std::uint64_t> tensors{};
};

/// The largest header that is read: a vocabulary of 256 K entries with its merges takes 15 MB.
inline constexpr std::uint64_t max_gguf_header_bytes = 256U << 20U;
inline constexpr std::uint64_t max_gguf_keys = 65'536;
inline constexpr std::uint64_t max_gguf_tensors = 1'048'576;

/// A GGUF file whose header was read and checked. No tensor byte is touched.
///
/// 1. "GGUF", the version (2 or 3) as u32, the numbers of tensors and of keys as u64;
/// little-endian.
/// 2. The keys: name, type, value. A string is a u64 length and its bytes, an array the type of its
///    elements, a u64 count and the elements.
/// 3. The tensors: name, u32 number of dimensions, those as u64 with the row length first, u32
/// type,
///    u64 offset in the data section.
/// 4. Zeros up to the alignment, then the data in the order of the tensors, each padded with zeros
///    to the alignment; the padding at the end of the file may be missing.
///
/// The reader takes what llama.cpp takes and refuses in addition: bools other than 0 and 1, keys
/// with NUL, tensors without elements or name or whose name is no UTF-8, a missing architecture,
/// bytes after the last tensor, impossible split numbers, an alignment above 1 MiB.
/// Source: github.com/ggml-org/ggml, docs/gguf.md; llama.cpp 0c1e57098, gguf.cpp.
struct GgufFile {
    std::shared_ptr<const io::File> file;
    std::uint64_t file_bytes = 0;
    std::uint32_t version = 3;
    std::uint64_t alignment = 32;
    std::uint64_t data_begin = 0;
    GgufMetadata metadata;
    std::vector<GgufTensor> tensors;   ///< in the order of their bytes
    std::optional<GgufSplit> split{};  ///< absent for a file that is whole

    /// `general.architecture`; empty for shards after the first and for files of other kinds.
    std::string architecture() const;
    /// `general.type`: "model", "adapter", "imatrix", "mmproj"…; "model" where it is absent.
    std::string type() const;
};

/// Cost: reads the header in pieces of 1 MiB; arrays are walked, not kept.
/// Errors: `malformed`, naming key or tensor.
GgufFile open_gguf(const std::filesystem::path& path);

/// The same file as a catalog. Errors: those of `open_gguf`.
Catalog open_gguf_catalog(const std::filesystem::path& path);

}  // namespace anamnesis::formats
