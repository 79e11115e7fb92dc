// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/base/float8.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

#include "anamnesis/base/dtype.hpp"

namespace anamnesis {
namespace {

struct Form {
    int mantissa_bits = 0;
    int bias = 0;
    bool is_fnuz = false;       ///< no negative zero: its bits are the only NaN
    bool has_infinity = false;  ///< E5M2: the last exponent is infinity and NaN
};

Form find_form(DType dtype) noexcept {
    switch (dtype) {
        case DType::f8_e5m2:
            return {.mantissa_bits = 2, .bias = 15, .has_infinity = true};
        case DType::f8_e4m3fnuz:
            return {.mantissa_bits = 3, .bias = 8, .is_fnuz = true};
        case DType::f8_e5m2fnuz:
            return {.mantissa_bits = 2, .bias = 16, .is_fnuz = true};
        default:
            return {.mantissa_bits = 3, .bias = 7};
    }
}

std::uint8_t nan_bits(const Form& form) noexcept {
    return form.is_fnuz ? 0x80U : 0x7FU;
}

/// The bits of the largest finite value.
std::uint8_t largest_bits(const Form& form) noexcept {
    if (form.is_fnuz) {
        return 0x7FU;
    }
    return form.has_infinity ? 0x7BU : 0x7EU;
}

double decode_bits(const Form& form, std::uint8_t bits) noexcept {
    const int mantissa = bits & ((1 << form.mantissa_bits) - 1);
    const int exponent = (bits & 0x7F) >> form.mantissa_bits;
    const double magnitude = exponent == 0
                                 ? std::ldexp(mantissa, 1 - form.bias - form.mantissa_bits)
                                 : std::ldexp(mantissa + (1 << form.mantissa_bits),
                                              exponent - form.bias - form.mantissa_bits);
    return (bits & 0x80U) != 0 ? -magnitude : magnitude;
}

}  // namespace

double f64_from_f8(DType dtype, std::uint8_t bits) noexcept {
    constexpr double nan = std::numeric_limits<double>::quiet_NaN();
    if (dtype == DType::f8_e8m0) {
        return bits == 0xFFU ? nan : std::ldexp(1.0, static_cast<int>(bits) - 127);
    }
    const Form form = find_form(dtype);
    if (form.is_fnuz && bits == 0x80U) {
        return nan;
    }
    const auto magnitude = static_cast<std::uint8_t>(bits & 0x7FU);
    if (!form.is_fnuz && magnitude > largest_bits(form)) {
        if (form.has_infinity && magnitude == 0x7CU) {
            const double infinity = std::numeric_limits<double>::infinity();
            return (bits & 0x80U) != 0 ? -infinity : infinity;
        }
        return nan;
    }
    return decode_bits(form, bits);
}

double largest_f8(DType dtype) noexcept {
    const Form form = find_form(dtype);
    return decode_bits(form, largest_bits(form));
}

std::uint8_t f8_from_f64(DType dtype, double value) noexcept {
    const Form form = find_form(dtype);
    if (std::isnan(value)) {
        return nan_bits(form);
    }
    const bool is_negative = std::signbit(value);
    const double magnitude = std::min(std::abs(value), largest_f8(dtype));
    int exponent =
        magnitude == 0.0 ? 1 - form.bias : std::max(std::ilogb(magnitude), 1 - form.bias);
    // In units of the last place the value is exact in float64, so nearbyint rounds once; a carry
    // out of the mantissa, or out of the subnormals, adds up by itself.
    const auto units =
        static_cast<int>(std::nearbyint(std::ldexp(magnitude, form.mantissa_bits - exponent)));
    const int base = (exponent - (1 - form.bias)) << form.mantissa_bits;
    const int bits = std::min(base + units, static_cast<int>(largest_bits(form)));
    if (bits == 0 && form.is_fnuz) {
        return 0;
    }
    return static_cast<std::uint8_t>(bits | (is_negative ? 0x80 : 0));
}

}  // namespace anamnesis
