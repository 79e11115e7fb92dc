// SPDX-License-Identifier: Apache-2.0
#include "gguf_adapter_header.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "anamnesis/base/check.hpp"
#include "anamnesis/formats/gguf.hpp"
#include "anamnesis/io/file.hpp"

namespace anamnesis::restore {
namespace {

/// "GGUF", the version, the number of tensors and of keys.
constexpr std::uint64_t fixed_bytes = 24;
constexpr std::uint64_t count_offset = 8;

std::string read_text(const io::File& file, std::uint64_t begin, std::uint64_t end) {
    std::string text(end - begin, '\0');
    file.read_at(begin, std::as_writable_bytes(std::span(text)));
    return text;
}

template <class Value>
Value load(std::string_view bytes, std::uint64_t offset) {
    ANAMNESIS_CHECK(offset <= bytes.size() && sizeof(Value) <= bytes.size() - offset,
                    "a GGUF header ends inside a tensor");
    Value value{};
    std::memcpy(&value, bytes.data() + offset, sizeof(Value));
    return value;
}

template <class Value>
void append(std::string& bytes, Value value) {
    bytes.append(reinterpret_cast<const char*>(&value), sizeof(Value));
}

std::uint64_t align(std::uint64_t offset, std::uint64_t alignment) {
    return (offset + alignment - 1) / alignment * alignment;
}

/// The bytes of each tensor's entry, less its offset, by name.
std::map<std::string, std::string> read_entries(const formats::GgufFile& file,
                                                std::uint64_t begin) {
    const std::string bytes = read_text(*file.file, begin, file.data_begin);
    std::map<std::string, std::string> entries;
    std::uint64_t at = 0;
    for (std::size_t i = 0; i < file.tensors.size(); ++i) {
        const auto length = load<std::uint64_t>(bytes, at);
        ANAMNESIS_CHECK(length <= bytes.size() - at - sizeof(std::uint64_t),
                        "a GGUF header ends inside a name");
        const std::uint64_t after_name = at + sizeof(std::uint64_t) + length;
        const auto dimensions = load<std::uint32_t>(bytes, after_name);
        const std::uint64_t size = sizeof(std::uint64_t) + length + 2 * sizeof(std::uint32_t) +
                                   dimensions * sizeof(std::uint64_t);
        entries[bytes.substr(at + sizeof(std::uint64_t), length)] = bytes.substr(at, size);
        at += size + sizeof(std::uint64_t);
    }
    return entries;
}

}  // namespace

GgufHeader make_gguf_header(const formats::GgufFile& file, const std::vector<bool>& stays) {
    std::uint64_t keys_end = fixed_bytes;
    for (const formats::GgufKey& key : file.metadata.keys()) {
        keys_end = std::max(keys_end, key.offset + key.bytes);
    }
    const std::map<std::string, std::string> entries = read_entries(file, keys_end);
    GgufHeader header;
    header.bytes = read_text(*file.file, 0, keys_end);
    const auto count = static_cast<std::uint64_t>(std::ranges::count(stays, true));
    std::memcpy(header.bytes.data() + count_offset, &count, sizeof count);
    std::uint64_t data = 0;
    for (std::size_t i = 0; i < file.tensors.size(); ++i) {
        if (!stays[i]) {
            continue;
        }
        const auto entry = entries.find(file.tensors[i].name);
        ANAMNESIS_CHECK(entry != entries.end(), "a tensor of a GGUF file has its entry");
        header.bytes += entry->second;
        append(header.bytes, data);
        header.offsets.push_back(data);
        data = align(data + file.tensors[i].bytes, file.alignment);
    }
    header.bytes.resize(align(header.bytes.size(), file.alignment), '\0');
    for (std::uint64_t& offset : header.offsets) {
        offset += header.bytes.size();
    }
    header.file_bytes = header.bytes.size() + data;
    return header;
}

}  // namespace anamnesis::restore
