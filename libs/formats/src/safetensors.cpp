// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/formats/safetensors.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <numeric>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include <bits/ranges_algo.h>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/formats/foreign_file.hpp"
#include "anamnesis/io/file.hpp"

namespace anamnesis::formats {
namespace {

constexpr std::uint64_t length_bytes = 8;

[[noreturn]] void malformed(const std::string& message) {
    throw Error(ErrorKind::malformed, message);
}

}  // namespace

SafetensorsFile SafetensorsFile::open(const std::filesystem::path& path) {
    try {
        return read(path);
    } catch (const Error& error) {
        // A file of another kind says so itself, better than what its bytes mean as a header.
        const auto foreign =
            error.kind() == ErrorKind::malformed ? describe_foreign_file(path) : std::nullopt;
        if (!foreign) {
            throw;
        }
        throw Error(ErrorKind::malformed,
                    format("{} is {}", in_quotes(path.string(), 1000), *foreign));
    }
}

SafetensorsFile SafetensorsFile::read(const std::filesystem::path& path) {
    return in_context(
        [&] { return format("reading the header of {}", path.string()); },
        [&] {
            SafetensorsFile result;
            result.file_ = std::make_shared<const io::File>(io::File::open_for_reading(path));
            result.file_bytes_ = result.file_->size();
            if (result.file_bytes_ < length_bytes) {
                malformed(
                    format("{} has {} bytes, a safetensors file has at least {}: fetch it "
                           "again",
                           in_quotes(path.filename().string()),
                           result.file_bytes_,
                           length_bytes));
            }
            std::array<std::byte, length_bytes> raw{};
            result.file_->read_at(0, raw);
            std::uint64_t length = 0;
            for (std::size_t i = 0; i < raw.size(); ++i) {
                length |= std::to_integer<std::uint64_t>(raw.at(i)) << (8 * i);
            }
            if (length > max_header_bytes) {
                malformed(format("the header claims {} bytes, at most {} are allowed",
                                 length,
                                 max_header_bytes));
            }
            if (length > result.file_bytes_ - length_bytes) {
                malformed(
                    format("the header claims {} bytes, the file has {} after its length; it "
                           "was cut off, fetch it again",
                           length,
                           result.file_bytes_ - length_bytes));
            }
            std::string json(length, '\0');
            result.file_->read_at(length_bytes, std::as_writable_bytes(std::span(json)));
            result.data_begin_ = length_bytes + length;
            result.header_ =
                parse_safetensors_header(json, result.file_bytes_ - result.data_begin_);
            result.by_name_.resize(result.header_.tensors.size());
            std::iota(result.by_name_.begin(), result.by_name_.end(), 0U);
            std::ranges::sort(result.by_name_, {}, [&](std::uint32_t index) -> std::string_view {
                return result.header_.tensors[index].name;
            });
            return result;
        });
}

const TensorInfo* SafetensorsFile::find(std::string_view name) const& {
    const auto name_at = [&](std::uint32_t index) -> std::string_view {
        return header_.tensors[index].name;
    };
    const auto found = std::ranges::lower_bound(by_name_, name, {}, name_at);
    return found != by_name_.end() && name_at(*found) == name ? &header_.tensors[*found] : nullptr;
}

Catalog open_safetensors_catalog(const std::filesystem::path& path) {
    const auto file = SafetensorsFile::open(path);
    Catalog catalog{.file = file.shared_file(),
                    .file_bytes = file.file_bytes(),
                    .data_begin = file.data_begin(),
                    .tensors = {},
                    .metadata = file.header().metadata,
                    .warnings = file.header().warnings,
                    .gguf = {}};
    catalog.tensors.reserve(file.tensors().size());
    for (const TensorInfo& tensor : file.tensors()) {
        catalog.tensors.push_back({.name = tensor.name,
                                   .dtype = tensor.dtype,
                                   .shape = tensor.shape,
                                   .offset = file.data_begin() + tensor.data.begin(),
                                   .bytes = tensor.data.size()});
    }
    return catalog;
}

}  // namespace anamnesis::formats
