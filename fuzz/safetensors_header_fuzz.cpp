// SPDX-License-Identifier: Apache-2.0
// Input: 8 bytes, the size of the data section, little-endian; then the header's JSON.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "anamnesis/formats/safetensors.hpp"
#include "anamnesis/formats/safetensors_writer.hpp"

#include "fuzz_target.hpp"

namespace {

using anamnesis::formats::parse_safetensors_header;
using anamnesis::formats::SafetensorsHeader;
using anamnesis::formats::TensorInfo;
using anamnesis::formats::TensorSpec;

constexpr std::size_t length_bytes = 8;

void read_write_read(std::string_view json, std::uint64_t data_bytes) {
    const SafetensorsHeader first = parse_safetensors_header(json, data_bytes);
    std::vector<TensorSpec> specs;
    for (const TensorInfo& tensor : first.tensors) {
        specs.push_back({.name = tensor.name, .dtype = tensor.dtype, .shape = tensor.shape});
    }
    const auto prologue = make_safetensors_prologue(specs, first.metadata);
    anamnesis::fuzz::expect(prologue.data_bytes == data_bytes, "the data keeps its size");
    const SafetensorsHeader second = parse_safetensors_header(
        std::string_view(prologue.bytes).substr(length_bytes), prologue.data_bytes);
    const bool are_equal = std::ranges::equal(
        first.tensors, second.tensors, [](const TensorInfo& left, const TensorInfo& right) {
            return left.name == right.name && left.dtype == right.dtype &&
                   left.shape == right.shape && left.data == right.data;
        });
    anamnesis::fuzz::expect(are_equal && first.metadata == second.metadata,
                            "read(write(read(x))) == read(x)");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < length_bytes) {
        return 0;
    }
    std::uint64_t data_bytes = 0;
    for (std::size_t i = length_bytes; i > 0; --i) {
        data_bytes = data_bytes << 8U | data[i - 1];
    }
    const auto json = anamnesis::fuzz::to_text(data, size).substr(length_bytes);
    anamnesis::fuzz::accept_value_or_refusal([&] { read_write_read(json, data_bytes); });
    return 0;
}
