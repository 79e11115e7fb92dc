// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/base/bytes.hpp"

#include <cstdint>
#include <optional>
#include <span>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/text.hpp"

namespace anamnesis {

std::optional<std::uint64_t> checked_product(std::span<const std::uint64_t> factors) noexcept {
    std::uint64_t product = 1;
    bool has_zero = false;
    for (const std::uint64_t factor : factors) {
        if (factor == 0) {
            has_zero = true;
        } else if (__builtin_mul_overflow(product, factor, &product)) {
            return std::nullopt;
        }
    }
    return has_zero ? 0 : product;
}

std::optional<std::uint64_t> checked_sum(std::uint64_t left, std::uint64_t right) noexcept {
    std::uint64_t sum = 0;
    if (__builtin_add_overflow(left, right, &sum)) {
        return std::nullopt;
    }
    return sum;
}

ByteRange ByteRange::within(std::uint64_t begin, std::uint64_t end, std::uint64_t whole) {
    if (begin > end || end > whole) {
        throw Error(ErrorKind::malformed,
                    format("bytes {}..{} lie outside the {} bytes there are", begin, end, whole));
    }
    return {begin, end};
}

}  // namespace anamnesis
