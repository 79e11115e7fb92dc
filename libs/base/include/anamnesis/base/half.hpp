// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "anamnesis/base/dtype.hpp"

namespace anamnesis {

/// Bit patterns of one value in another type. Narrowing rounds to nearest, ties to even, keeps
/// subnormals and overflows to infinity. A NaN keeps its sign and becomes quiet when narrowed;
/// bf16 to f32 is exact in every bit.
/// Source: IEEE 754-2019, sections 4.3.1 and 6.2.
float f32_from_bf16(std::uint16_t bits) noexcept;
float f32_from_f16(std::uint16_t bits) noexcept;
std::uint16_t bf16_from_f32(float value) noexcept;
std::uint16_t f16_from_f32(float value) noexcept;

/// One rounding from the float64 value; no detour through f32, which could round twice.
std::uint16_t bf16_from_f64(double value) noexcept;
std::uint16_t f16_from_f64(double value) noexcept;

/// Widens elements of an arithmetic type, of one of 8 bits or of whole blocks (block_values.hpp),
/// exactly.
/// Errors: `internal` for another type or a span that is too short; those of `dequantise`.
void widen(DType dtype, std::span<const std::byte> source, std::span<double> target);

/// Rounds float64 values to an arithmetic type or one of 8 bits, one rounding each; to blocks by
/// way of float32. Errors: those of `quantise`.
void narrow(DType dtype, std::span<const double> source, std::span<std::byte> target);

/// Converts elements between arithmetic types and whole blocks: equal types copy bits, bf16 to f32
/// shifts them, all else rounds once.
void convert(DType from, std::span<const std::byte> source, DType to, std::span<std::byte> target);

}  // namespace anamnesis
