// SPDX-License-Identifier: Apache-2.0
#include "gguf/header.hpp"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <numeric>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "anamnesis/base/bytes.hpp"
#include "anamnesis/base/dtype.hpp"
#include "anamnesis/base/error.hpp"
#include "anamnesis/base/shape.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/formats/gguf.hpp"

#include "gguf/reader.hpp"
#include "gguf/types.hpp"

namespace anamnesis::formats {
namespace {

constexpr std::uint64_t most_key_bytes = 65'535;
constexpr std::uint64_t most_name_bytes = 63;
constexpr std::uint32_t most_dimensions = 4;
/// Length, name of one byte, type and value of one byte.
constexpr std::uint64_t least_key_bytes = 14;
/// Length, name of one byte, number of dimensions, one dimension, type and offset.
constexpr std::uint64_t least_tensor_bytes = 33;

[[noreturn]] void malformed(const std::string& message) {
    throw Error(ErrorKind::malformed, message);
}

void check_count(std::string_view what,
                 std::uint64_t count,
                 std::uint64_t limit,
                 std::uint64_t least_bytes,
                 const GgufReader& reader) {
    if (count > reader.left() / least_bytes) {
        malformed(
            format("the header claims {} {}, the file has {} bytes left, too few for them; "
                   "it was cut off or is damaged, fetch it again",
                   count,
                   what,
                   reader.left()));
    }
    if (count > limit) {
        malformed(format("the header claims {} {}, expected at most {}", count, what, limit));
    }
}

GgufType read_type(GgufReader& reader, const std::string& key) {
    const auto number = reader.read<std::uint32_t>("the type of a key");
    const auto type = find_gguf_type(number);
    if (!type) {
        malformed(format("key {} has type {}, expected 0 to 12", in_quotes(key), number));
    }
    return *type;
}

void read_array(GgufReader& reader, GgufKey& key, const std::string& what) {
    key.element = read_type(reader, key.name);
    if (key.element == GgufType::array) {
        malformed(format("key {} is an array of arrays, expected single values as elements",
                         in_quotes(key.name)));
    }
    key.count = reader.read<std::uint64_t>(what);
    // A string takes at least the bytes of its length.
    const std::uint64_t least =
        key.element == GgufType::string ? sizeof(std::uint64_t) : find_value_bytes(key.element);
    if (key.count > reader.left() / least) {
        malformed(
            format("{} claims {} elements of type {}, the file has {} bytes left, too few "
                   "for them",
                   what,
                   key.count,
                   to_string(key.element),
                   reader.left()));
    }
}

void read_values(GgufReader& reader, GgufKey& key, const std::string& what) {
    key.offset = reader.position();
    if (key.element == GgufType::string) {
        for (std::uint64_t i = 0; i < key.count; ++i) {
            reader.skip_string(what);
        }
    } else if (key.element == GgufType::boolean) {
        for (std::uint64_t i = 0; i < key.count; ++i) {
            if (const auto flag = reader.read<std::uint8_t>(what); flag > 1) {
                malformed(
                    format("key {} has a bool of {}, expected 0 or 1", in_quotes(key.name), flag));
            }
        }
    } else {
        reader.skip(key.count * find_value_bytes(key.element), what);
    }
    key.bytes = reader.position() - key.offset;
}

GgufKey read_key(GgufReader& reader) {
    GgufKey key;
    key.name = reader.read_string(most_key_bytes, "the name of a key");
    if (key.name.empty()) {
        malformed("a key has an empty name, expected at least one character");
    }
    if (key.name.find('\0') != std::string::npos) {
        malformed(format("key {} has a NUL in its name, expected none", in_quotes(key.name)));
    }
    const std::string what = format("the value of key {}", in_quotes(key.name));
    key.type = read_type(reader, key.name);
    key.element = key.type;
    if (key.type == GgufType::array) {
        read_array(reader, key, what);
    }
    read_values(reader, key, what);
    return key;
}

/// Whether bytes are UTF-8 as RFC 3629 has it: no overlong forms, no surrogates, nothing above
/// U+10FFFF.
bool is_utf8(std::string_view text) {
    for (std::size_t i = 0; i < text.size();) {
        const auto lead = static_cast<unsigned char>(text[i]);
        const std::size_t length = lead < 0x80U   ? 1
                                   : lead < 0xC2U ? 0
                                   : lead < 0xE0U ? 2
                                   : lead < 0xF0U ? 3
                                   : lead < 0xF5U ? 4
                                                  : 0;
        if (length == 0 || length > text.size() - i) {
            return false;
        }
        for (std::size_t k = 1; k < length; ++k) {
            const auto next = static_cast<unsigned char>(text[i + k]);
            const unsigned lowest = k > 1           ? 0x80U
                                    : lead == 0xE0U ? 0xA0U
                                    : lead == 0xF0U ? 0x90U
                                                    : 0x80U;
            const unsigned highest = k > 1           ? 0xBFU
                                     : lead == 0xEDU ? 0x9FU
                                     : lead == 0xF4U ? 0x8FU
                                                     : 0xBFU;
            if (next < lowest || next > highest) {
                return false;
            }
        }
        i += length;
    }
    return true;
}

std::string read_name(GgufReader& reader, std::uint64_t number) {
    const std::string what = format("the name of tensor number {}", number);
    std::string name = reader.read_string(most_name_bytes, what);
    if (name.empty()) {
        malformed(format("{} is empty, expected at least one character", what));
    }
    if (!is_utf8(name)) {
        malformed(format("{}, {}, is not UTF-8", what, in_quotes(name)));
    }
    if (name.find('\0') != std::string::npos) {
        malformed(format("{}, {}, holds a NUL, expected none", what, in_quotes(name)));
    }
    return name;
}

Shape read_shape(GgufReader& reader, const std::string& quoted) {
    const std::string what = format("the dimensions of tensor {}", quoted);
    const auto dimensions = reader.read<std::uint32_t>(what);
    if (dimensions == 0 || dimensions > most_dimensions) {
        malformed(format(
            "tensor {} has {} dimensions, expected 1 to {}", quoted, dimensions, most_dimensions));
    }
    Shape shape(dimensions);
    for (std::uint64_t& size : shape) {
        size = reader.read<std::uint64_t>(what);
        if (size == 0 || size > std::uint64_t{std::numeric_limits<std::int64_t>::max()}) {
            malformed(format("tensor {} has a dimension of {}, expected 1 to 2^63 - 1",
                             quoted,
                             static_cast<std::int64_t>(size)));
        }
    }
    // The file has the row length first, a Shape has it last.
    std::ranges::reverse(shape);
    return shape;
}

DType read_dtype(GgufReader& reader, const std::string& quoted) {
    const auto number = reader.read<std::uint32_t>(format("the type of tensor {}", quoted));
    if (const auto dtype = find_gguf_dtype(number)) {
        return *dtype;
    }
    if (is_removed_gguf_dtype(number)) {
        malformed(
            format("tensor {} has type {}, which llama.cpp has removed; quantise the model "
                   "again with a newer version",
                   quoted,
                   number));
    }
    malformed(format("tensor {} has type {}, which is not known here (0 to 42)", quoted, number));
}

std::uint64_t count_bytes(const GgufTensor& tensor, const std::string& quoted) {
    const auto elements = find_element_count(tensor.shape);
    if (!elements || *elements > std::uint64_t{std::numeric_limits<std::int64_t>::max()}) {
        malformed(format("tensor {} of shape {} has more than 2^63 - 1 elements",
                         quoted,
                         anamnesis::to_string(tensor.shape)));
    }
    if (tensor.shape.back() % block_elements(tensor.dtype) != 0) {
        malformed(format("tensor {} has rows of {} elements, expected whole blocks of {} ({})",
                         quoted,
                         tensor.shape.back(),
                         block_elements(tensor.dtype),
                         to_string(tensor.dtype)));
    }
    const auto bytes = find_byte_count(tensor.dtype, tensor.shape);
    if (!bytes) {
        malformed(format("tensor {} of shape {} and type {} has more bytes than 64 bits count",
                         quoted,
                         anamnesis::to_string(tensor.shape),
                         to_string(tensor.dtype)));
    }
    return *bytes;
}

/// Each offset is the end of the tensor before, padded: no hole, no overlap, no other order.
void check_offset(const GgufTensor& tensor,
                  const std::string& quoted,
                  std::uint64_t expected,
                  std::uint64_t alignment) {
    if (tensor.offset % alignment != 0) {
        malformed(format("tensor {} is at offset {}, expected a multiple of the alignment, {}",
                         quoted,
                         tensor.offset,
                         alignment));
    }
    if (tensor.offset != expected) {
        malformed(
            format("tensor {} is at offset {}, expected {}, where the tensor before it ends: "
                   "tensors {}",
                   quoted,
                   tensor.offset,
                   expected,
                   tensor.offset < expected ? "overlap" : "leave a hole"));
    }
}

void refuse_twins(const std::vector<GgufTensor>& tensors) {
    std::vector<std::uint32_t> order(tensors.size());
    std::iota(order.begin(), order.end(), 0U);
    const auto name_at = [&](std::uint32_t i) -> const std::string& { return tensors[i].name; };
    std::ranges::sort(order, {}, name_at);
    const auto twin = std::ranges::adjacent_find(order, {}, name_at);
    if (twin != order.end()) {
        malformed(
            format("tensor {} is there twice, expected each name once", in_quotes(name_at(*twin))));
    }
}

}  // namespace

GgufPreamble read_preamble(GgufReader& reader) {
    const auto magic = reader.read<std::uint32_t>("the magic number");
    constexpr std::uint32_t expected = 0x4655'4747U;  // "GGUF"
    if (magic != expected) {
        malformed("the file does not begin with \"GGUF\", so it is no GGUF file");
    }
    GgufPreamble preamble;
    preamble.version = reader.read<std::uint32_t>("the version");
    if (preamble.version == 0x0300'0000U || preamble.version == 0x0200'0000U) {
        malformed(
            "the file is big-endian (its version reads byte-swapped), expected little-endian; "
            "convert it with gguf_convert_endian.py of llama.cpp");
    }
    if (preamble.version != 2 && preamble.version != 3) {
        malformed(format(
            "the file has version {} of GGUF, expected 2 or 3{}",
            preamble.version,
            preamble.version == 1 ? "; convert the model again with a newer llama.cpp" : ""));
    }
    preamble.tensors = reader.read<std::uint64_t>("the number of tensors");
    preamble.keys = reader.read<std::uint64_t>("the number of keys");
    check_count("tensors", preamble.tensors, max_gguf_tensors, least_tensor_bytes, reader);
    check_count("keys", preamble.keys, max_gguf_keys, least_key_bytes, reader);
    return preamble;
}

std::vector<GgufKey> read_keys(GgufReader& reader, std::uint64_t count) {
    std::vector<GgufKey> keys;
    for (std::uint64_t i = 0; i < count; ++i) {
        keys.push_back(read_key(reader));
    }
    return keys;
}

std::vector<GgufTensor> read_tensors(GgufReader& reader,
                                     std::uint64_t count,
                                     std::uint64_t alignment) {
    std::vector<GgufTensor> tensors;
    std::uint64_t end = 0;
    for (std::uint64_t i = 0; i < count; ++i) {
        GgufTensor tensor;
        tensor.name = read_name(reader, i);
        const std::string quoted = in_quotes(tensor.name);
        tensor.shape = read_shape(reader, quoted);
        tensor.dtype = read_dtype(reader, quoted);
        tensor.offset = reader.read<std::uint64_t>(format("the offset of tensor {}", quoted));
        tensor.bytes = count_bytes(tensor, quoted);
        check_offset(tensor, quoted, end, alignment);
        const auto next = checked_sum(end, tensor.bytes);
        const auto padded = next ? checked_sum(*next, alignment - 1) : std::nullopt;
        if (!padded) {
            malformed(format("tensor {} ends beyond what 64 bits count", quoted));
        }
        end = *padded / alignment * alignment;
        tensors.push_back(std::move(tensor));
    }
    refuse_twins(tensors);
    return tensors;
}

}  // namespace anamnesis::formats
