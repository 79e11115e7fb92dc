// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "anamnesis/base/dtype.hpp"

#include "cpu_kernels.hpp"

// Products of block-quantised rows as they lie in a file with a few rows of float32, which are
// rounded to 16 bits: integers meet integers, and a row of weights is read once.

namespace anamnesis::runtime::cpu {

/// True where `product` and `unpack` run on this type and this processor.
bool has_packed_product(DType dtype) noexcept;

/// Values that share a scale when they are rounded.
inline constexpr std::size_t rounded_run = 32;

/// Rows of float32 as 16-bit integers: value = scale * integer, to 2^-16 of the largest magnitude
/// of its run.
struct RoundedRows {
    std::size_t rows = 0;
    std::size_t inputs = 0;              ///< a multiple of `rounded_run`
    std::vector<std::int16_t> values{};  ///< [rows, inputs]
    std::vector<float> scales{};         ///< [rows, inputs / rounded_run]
    std::vector<float> sums{};           ///< the same: of what the integers stand for
};
RoundedRows round_rows(std::span<const float> x, std::size_t rows);

/// Block-quantised rows.
struct PackedMatrix {
    const std::byte* bytes = nullptr;
    std::size_t row_bytes = 0;
    DType dtype = DType::q8_0;
};

/// Rows up to which `product` is faster than `unpack` and a product of floats.
inline constexpr std::size_t most_packed_rows = 32;

/// y[r][o] = x[r] . weight[o] for the outputs [begin, end).
/// Shapes: weight [outputs, x.inputs], y [x.rows, outputs].
void product(const PackedMatrix& weight,
             const RoundedRows& x,
             float* y,
             std::size_t outputs,
             std::size_t begin,
             std::size_t end);

/// The values of a row, those of `dequantise` bit for bit. `count` is that of a whole row.
void unpack(const PackedMatrix& weight, std::size_t row, float* values, std::size_t count);

}  // namespace anamnesis::runtime::cpu
