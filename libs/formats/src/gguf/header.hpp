// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

#include "anamnesis/formats/gguf.hpp"

#include "gguf/reader.hpp"

namespace anamnesis::formats {

/// What the first 24 bytes say.
struct GgufPreamble {
    std::uint32_t version = 3;
    std::uint64_t tensors = 0;
    std::uint64_t keys = 0;
};

/// Errors of all: `malformed`.
GgufPreamble read_preamble(GgufReader& reader);
std::vector<GgufKey> read_keys(GgufReader& reader, std::uint64_t count);

/// The tensors with offsets in the data section, which lie one after another.
std::vector<GgufTensor> read_tensors(GgufReader& reader,
                                     std::uint64_t count,
                                     std::uint64_t alignment);

}  // namespace anamnesis::formats
