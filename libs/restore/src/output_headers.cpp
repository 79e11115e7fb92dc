// SPDX-License-Identifier: Apache-2.0
#include "output_headers.hpp"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/formats/gguf.hpp"
#include "anamnesis/restore/apply.hpp"
#include "anamnesis/restore/plan.hpp"
#include "anamnesis/restore/request.hpp"

#include "clean_names.hpp"

namespace anamnesis::restore {
namespace {

constexpr std::string_view stamp_key = "anamnesis.repair";
constexpr std::size_t key_count_offset = 16;
constexpr std::size_t preamble_bytes = 24;

template <class Number>
std::string to_bytes(Number number) {
    std::string bytes(sizeof(number), '\0');
    std::memcpy(bytes.data(), &number, sizeof(number));
    return bytes;
}

std::string to_string_bytes(std::string_view text) {
    return to_bytes(std::uint64_t{text.size()}) + std::string(text);
}

/// A file that was repaired before keeps the stamps that it has.
std::string choose_key(const formats::GgufMetadata& metadata) {
    std::string key(stamp_key);
    for (unsigned number = 2; metadata.has(key); ++number) {
        key = format("{}.{}", stamp_key, number);
    }
    return key;
}

/// Where the keys end and the list of tensors begins.
std::size_t find_end_of_keys(const formats::GgufFile& file) {
    const auto& keys = file.metadata.keys();
    return keys.empty() ? preamble_bytes
                        : static_cast<std::size_t>(keys.back().offset + keys.back().bytes);
}

std::size_t count_list_bytes(const formats::GgufFile& file) {
    std::size_t bytes = 0;
    for (const formats::GgufTensor& tensor : file.tensors) {
        bytes += 8 + tensor.name.size() + 4 + 8 * tensor.shape.size() + 4 + 8;
    }
    return bytes;
}

RenamedFile stamp(const formats::GgufFile& file, const Plan& plan) {
    const std::size_t end_of_keys = find_end_of_keys(file);
    std::string header(end_of_keys + count_list_bytes(file), '\0');
    file.file->read_at(0, std::as_writable_bytes(std::span(header)));
    const std::string text = Json(Json::Object{{"request", to_json(plan.request)}}).dump();
    const std::string key = to_string_bytes(choose_key(file.metadata)) +
                            to_bytes(static_cast<std::uint32_t>(formats::GgufType::string)) +
                            to_string_bytes(text);
    header.insert(end_of_keys, key);
    header.replace(key_count_offset, 8, to_bytes(std::uint64_t{file.metadata.keys().size() + 1}));
    const std::size_t alignment = file.alignment;
    header.resize((header.size() + alignment - 1) / alignment * alignment, '\0');
    RenamedFile renamed{.header = std::move(header)};
    renamed.shift = static_cast<std::int64_t>(renamed.header.size()) -
                    static_cast<std::int64_t>(file.data_begin);
    return renamed;
}

}  // namespace

std::vector<RenamedFile> make_output_headers(const Plan& plan, const OutputOptions& options) {
    if (options.has_clean_names) {
        return rename_files(plan);
    }
    std::vector<RenamedFile> headers(plan.post->checkpoint.files().size());
    if (options.has_stamp && plan.post->checkpoint.gguf()) {
        headers.front() = stamp(*plan.post->checkpoint.gguf(), plan);
    }
    return headers;
}

}  // namespace anamnesis::restore
