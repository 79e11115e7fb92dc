// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>

#include "anamnesis/base/dtype.hpp"
#include "anamnesis/formats/gguf.hpp"

namespace anamnesis::formats {

/// Bytes of one value; 0 for strings and arrays, whose size is not fixed.
std::uint32_t find_value_bytes(GgufType type);

/// What the numbers in a file stand for; nothing for those that no type has.
std::optional<GgufType> find_gguf_type(std::uint32_t number);
std::optional<DType> find_gguf_dtype(std::uint32_t number);
/// True for a number that an earlier version of ggml used for a type that is gone.
bool is_removed_gguf_dtype(std::uint32_t number);

}  // namespace anamnesis::formats
