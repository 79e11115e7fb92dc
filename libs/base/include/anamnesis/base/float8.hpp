// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "anamnesis/base/dtype.hpp"

namespace anamnesis {

/// True for the types of eight bits that `f64_from_f8` reads: F8_E4M3, F8_E5M2, their FNUZ forms.
constexpr bool is_float8(DType dtype) {
    return dtype == DType::f8_e4m3 || dtype == DType::f8_e5m2 || dtype == DType::f8_e4m3fnuz ||
           dtype == DType::f8_e5m2fnuz;
}

/// The value of eight bits, exactly. E8M0 is a power of two, as MX formats scale with.
/// Source: OCP 8-bit Floating Point Specification 1.0; ONNX operator docs for the FNUZ forms.
double f64_from_f8(DType dtype, std::uint8_t bits) noexcept;

/// Rounds to nearest, ties to even; beyond the largest value to the largest, NaN to NaN.
std::uint8_t f8_from_f64(DType dtype, double value) noexcept;

/// The largest finite value: 448 for E4M3, 57344 for E5M2, 240 and 57344 for the FNUZ forms.
double largest_f8(DType dtype) noexcept;

}  // namespace anamnesis
