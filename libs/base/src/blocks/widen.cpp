// SPDX-License-Identifier: Apache-2.0
#include "blocks/widen.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <span>

#include "anamnesis/base/block_values.hpp"
#include "anamnesis/base/dtype.hpp"

namespace anamnesis {

void widen_blocks(DType dtype, std::span<const std::byte> source, std::span<double> target) {
    constexpr std::size_t most = 4096;
    const std::size_t elements = block_elements(dtype);
    std::array<float, most> values{};
    for (std::size_t i = 0; i < target.size(); i += most) {
        const std::size_t count = std::min(most, target.size() - i);
        const std::size_t begin = i / elements * block_bytes(dtype);
        dequantise(dtype,
                   source.subspan(begin, count / elements * block_bytes(dtype)),
                   std::span(values).first(count));
        double* const wide = target.data() + i;
        for (std::size_t k = 0; k < count; ++k) {
            wide[k] = values[k];
        }
    }
}

void narrow_to_blocks(DType dtype, std::span<const double> source, std::span<std::byte> target) {
    const std::size_t elements = block_elements(dtype);
    std::array<float, 256> values{};
    for (std::size_t i = 0; i < source.size(); i += elements) {
        const auto block = std::span(values).first(elements);
        std::ranges::transform(source.subspan(i, elements), block.begin(), [](double value) {
            return static_cast<float>(value);
        });
        quantise(
            dtype, block, target.subspan(i / elements * block_bytes(dtype), block_bytes(dtype)));
    }
}

}  // namespace anamnesis
