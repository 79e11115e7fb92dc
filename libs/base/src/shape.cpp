// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/base/shape.hpp"

#include <array>
#include <cstdint>
#include <optional>
#include <string>

#include <fmt/ranges.h>

#include "anamnesis/base/bytes.hpp"
#include "anamnesis/base/dtype.hpp"

namespace anamnesis {

std::optional<std::uint64_t> find_element_count(const Shape& shape) noexcept {
    return checked_product(shape);
}

std::optional<std::uint64_t> find_byte_count(DType dtype, const Shape& shape) noexcept {
    const auto elements = find_element_count(shape);
    if (!elements) {
        return std::nullopt;
    }
    if (*elements % block_elements(dtype) != 0) {
        return std::nullopt;
    }
    return checked_product(
        std::array<std::uint64_t, 2>{*elements / block_elements(dtype), block_bytes(dtype)});
}

std::string to_string(const Shape& shape) {
    return fmt::format("[{}]", fmt::join(shape, ", "));
}

}  // namespace anamnesis
