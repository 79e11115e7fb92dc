// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/formats/safetensors_writer.hpp"

#include <cstdint>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

#include "anamnesis/base/bytes.hpp"
#include "anamnesis/base/dtype.hpp"
#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/shape.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/formats/safetensors.hpp"

namespace anamnesis::formats {

SafetensorsPrologue make_safetensors_prologue(
    const std::vector<TensorSpec>& tensors,
    const std::vector<std::pair<std::string, std::string>>& metadata) {
    SafetensorsPrologue prologue;
    Json::Object header;
    std::unordered_set<std::string> names{"__metadata__"};
    if (!metadata.empty()) {
        Json::Object entries;
        for (const auto& [key, value] : metadata) {
            entries.emplace_back(key, value);
        }
        header.emplace_back("__metadata__", std::move(entries));
    }
    for (const TensorSpec& tensor : tensors) {
        if (!names.insert(tensor.name).second) {
            throw Error(ErrorKind::usage,
                        format("tensor name {} cannot be written twice", in_quotes(tensor.name)));
        }
        const auto bytes = find_byte_count(tensor.dtype, tensor.shape);
        const auto end = bytes ? checked_sum(prologue.data_bytes, *bytes) : bytes;
        if (!end) {
            throw Error(ErrorKind::usage,
                        format("tensor {} of shape {} is too large to write",
                               in_quotes(tensor.name),
                               to_string(tensor.shape)));
        }
        Json::Array shape;
        for (const std::uint64_t size : tensor.shape) {
            shape.emplace_back(size);
        }
        header.emplace_back(tensor.name,
                            Json::Object{{"dtype", to_string(tensor.dtype)},
                                         {"shape", std::move(shape)},
                                         {"data_offsets", Json::Array{prologue.data_bytes, *end}}});
        prologue.offsets.push_back(prologue.data_bytes);
        prologue.data_bytes = *end;
    }
    std::string json = Json(std::move(header)).dump();
    // Readers map the payload and expect aligned values; the format allows trailing spaces here.
    json.resize((json.size() + 7) / 8 * 8, ' ');
    if (json.size() > max_header_bytes) {
        throw Error(ErrorKind::usage,
                    format("the header would have {} bytes, at most {} are allowed",
                           json.size(),
                           max_header_bytes));
    }
    for (unsigned i = 0; i < 8; ++i) {
        prologue.bytes += static_cast<char>((json.size() >> (8 * i)) & 0xFFU);
    }
    prologue.bytes += json;
    return prologue;
}

}  // namespace anamnesis::formats
