// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/io/file.hpp"

#include <array>
#include <bit>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "anamnesis/base/bytes.hpp"
#include "anamnesis/base/error.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/formats/catalog.hpp"
#include "anamnesis/formats/foreign_file.hpp"
#include "anamnesis/formats/gguf.hpp"

#include "gguf/header.hpp"
#include "gguf/reader.hpp"

namespace anamnesis::formats {
namespace {

constexpr std::uint64_t default_alignment = 32;
constexpr std::uint64_t largest_alignment = 1U << 20U;

[[noreturn]] void malformed(const std::string& message) {
    throw Error(ErrorKind::malformed, message);
}

std::uint64_t read_alignment(const GgufMetadata& metadata) {
    const GgufKey* key = metadata.find("general.alignment");
    if (key == nullptr) {
        return default_alignment;
    }
    if (key->type != GgufType::u32) {
        malformed(
            format("key 'general.alignment' is of type {}, expected u32", to_string(key->type)));
    }
    const std::uint64_t alignment = *metadata.find_count(key->name);
    if (!std::has_single_bit(alignment) || alignment > largest_alignment) {
        malformed(format("general.alignment is {}, expected a power of two up to {}",
                         alignment,
                         largest_alignment));
    }
    return alignment;
}

std::optional<GgufSplit> read_split(const GgufMetadata& metadata) {
    const auto count = metadata.find_count("split.count");
    const auto number = metadata.find_count("split.no");
    if (!count && !number) {
        return std::nullopt;
    }
    if (!count || !number) {
        malformed(
            format("the file has the key 'split.{}' alone, expected 'split.no' and "
                   "'split.count'",
                   count ? "count" : "no"));
    }
    if (*count == 0) {
        malformed("split.count is 0, expected at least 1");
    }
    if (*number >= *count) {
        malformed(format(
            "split.no is {} of split.count {}, expected 0 to {}", *number, *count, *count - 1));
    }
    return GgufSplit{
        .number = *number, .count = *count, .tensors = metadata.find_count("split.tensors.count")};
}

/// Every model says its architecture; shards after the first and importance matrices do not.
void check_architecture(const GgufFile& file) {
    const auto architecture = file.metadata.find_string("general.architecture");
    const bool is_later_shard = file.split && file.split->number > 0;
    if (!architecture && !is_later_shard && file.type() != "imatrix") {
        malformed("the key 'general.architecture' is missing");
    }
    if (architecture && architecture->empty()) {
        malformed("the key 'general.architecture' is empty");
    }
}

/// Places the tensors in the file and holds its size against them.
void place_tensors(GgufFile& file, std::uint64_t header_end) {
    file.data_begin = (header_end + file.alignment - 1) / file.alignment * file.alignment;
    std::uint64_t end = header_end;
    for (GgufTensor& tensor : file.tensors) {
        const auto begin = checked_sum(file.data_begin, tensor.offset);
        const auto tensor_end = begin ? checked_sum(*begin, tensor.bytes) : std::nullopt;
        if (!tensor_end || *tensor_end > file.file_bytes) {
            malformed(
                format("tensor {} has {} bytes at offset {} of the data, which begins at "
                       "byte {}; the file ends at byte {}: it was cut off, fetch it again",
                       in_quotes(tensor.name),
                       tensor.bytes,
                       tensor.offset,
                       file.data_begin,
                       file.file_bytes));
        }
        tensor.offset = *begin;
        end = *tensor_end;
    }
    const std::uint64_t padding = (file.alignment - end % file.alignment) % file.alignment;
    if (file.file_bytes - end > padding) {
        malformed(
            format("the file has {} bytes after its last tensor, expected at most {} of "
                   "padding",
                   file.file_bytes - end,
                   padding));
    }
}

GgufFile read_file(const std::filesystem::path& path) {
    GgufFile result;
    result.file = std::make_shared<const io::File>(io::File::open_for_reading(path));
    result.file_bytes = result.file->size();
    GgufReader reader(*result.file);
    const GgufPreamble preamble = read_preamble(reader);
    result.version = preamble.version;
    result.metadata = GgufMetadata(result.file, read_keys(reader, preamble.keys));
    result.alignment = read_alignment(result.metadata);
    result.split = read_split(result.metadata);
    check_architecture(result);
    result.tensors = read_tensors(reader, preamble.tensors, result.alignment);
    place_tensors(result, reader.position());
    return result;
}

}  // namespace

std::string GgufFile::architecture() const {
    return metadata.find_string("general.architecture").value_or("");
}

std::string GgufFile::type() const {
    return metadata.find_string("general.type").value_or("model");
}

GgufFile open_gguf(const std::filesystem::path& path) {
    try {
        return in_context([&] { return format("reading the header of {}", path.string()); },
                          [&] { return read_file(path); });
    } catch (const Error& error) {
        const auto foreign =
            error.kind() == ErrorKind::malformed ? describe_foreign_file(path) : std::nullopt;
        if (!foreign || foreign->starts_with("a GGUF file")) {
            throw;
        }
        throw Error(ErrorKind::malformed,
                    format("{} is {}", in_quotes(path.string(), 1000), *foreign));
    }
}

Catalog open_gguf_catalog(const std::filesystem::path& path) {
    auto file = std::make_shared<GgufFile>(open_gguf(path));
    Catalog catalog{.file = file->file,
                    .file_bytes = file->file_bytes,
                    .data_begin = file->data_begin,
                    .tensors = {},
                    .metadata = {},
                    .warnings = {},
                    .gguf = file};
    catalog.tensors.reserve(file->tensors.size());
    for (const GgufTensor& tensor : file->tensors) {
        catalog.tensors.push_back({.name = tensor.name,
                                   .dtype = tensor.dtype,
                                   .shape = tensor.shape,
                                   .offset = tensor.offset,
                                   .bytes = tensor.bytes});
    }
    return catalog;
}

}  // namespace anamnesis::formats
