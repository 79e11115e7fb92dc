// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "anamnesis/base/dtype.hpp"

namespace anamnesis {

/// Sizes of a tensor, slowest dimension first. The empty shape is a scalar.
using Shape = std::vector<std::uint64_t>;

/// Nothing where the product does not fit 64 bits.
std::optional<std::uint64_t> find_element_count(const Shape& shape) noexcept;

/// Bytes of a tensor; nothing on overflow or where its last block is not full.
std::optional<std::uint64_t> find_byte_count(DType dtype, const Shape& shape) noexcept;

/// "[4096, 2560]"
std::string to_string(const Shape& shape);

}  // namespace anamnesis
