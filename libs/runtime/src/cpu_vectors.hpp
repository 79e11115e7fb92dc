// SPDX-License-Identifier: Apache-2.0
//
// Vectors of ANAMNESIS_WIDTH values, in the namespace ANAMNESIS_LANES: included once for each width
// (cpu_each_width.hpp), or by a file for one processor, which defines both before.

#if !defined(ANAMNESIS_CPU_VECTORS)
#define ANAMNESIS_CPU_VECTORS

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <utility>

#include "cpu_inline.hpp"
#include "cpu_kernels.hpp"

namespace anamnesis::runtime::cpu::ANAMNESIS_LANES {

inline constexpr std::size_t width = ANAMNESIS_WIDTH;
/// Sums that fit the registers of a processor of this width beside what is added to them.
inline constexpr std::size_t most_sums = width == 16 ? 16 : 8;
using Floats = float __attribute__((vector_size(width * sizeof(float))));
using Words = std::uint32_t __attribute__((vector_size(width * sizeof(std::uint32_t))));
using Halves = std::uint16_t __attribute__((vector_size(width * sizeof(std::uint16_t))));

ANAMNESIS_INLINE Floats load(const float* source) {
    Floats values;
    std::memcpy(&values, source, sizeof values);
    return values;
}

ANAMNESIS_INLINE Floats load(const Bf16* source) {
    Halves bits;
    std::memcpy(&bits, source, sizeof bits);
    return __builtin_bit_cast(Floats, __builtin_convertvector(bits, Words) << 16U);
}

ANAMNESIS_INLINE void store(float* target, Floats values) {
    std::memcpy(target, &values, sizeof values);
}

/// To nearest, ties to even; a NaN stays one.
ANAMNESIS_INLINE Bf16 rounded(float value) {
    const auto bits = __builtin_bit_cast(std::uint32_t, value);
    const std::uint32_t kept = (bits + 0x7FFFU + ((bits >> 16U) & 1U)) >> 16U;
    const bool is_nan = (bits & 0x7FFFFFFFU) > 0x7F800000U;
    return static_cast<Bf16>(is_nan ? (bits >> 16U) | 0x40U : kept);
}

ANAMNESIS_INLINE void store(Bf16* target, Floats values) {
    const auto bits = __builtin_bit_cast(Words, values);
    const Words kept = (bits + 0x7FFFU + ((bits >> 16U) & 1U)) >> 16U;
    const Words of_nan = (bits >> 16U) | 0x40U;
    const Halves halves =
        __builtin_convertvector((bits & 0x7FFFFFFFU) > 0x7F800000U ? of_nan : kept, Halves);
    std::memcpy(target, &halves, sizeof halves);
}

ANAMNESIS_INLINE float to_float(Bf16 bits) {
    return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16U);
}

ANAMNESIS_INLINE float to_float(float value) {
    return value;
}

ANAMNESIS_INLINE Floats broadcast(float value) {
    return Floats{} + value;
}

/// Halves are folded onto each other, so that few instructions depend on each other.
template <std::size_t Count, class Vector, std::size_t... Half>
ANAMNESIS_INLINE float horizontal_sum(Vector values, std::index_sequence<Half...> /*half*/) {
    if constexpr (Count == 2) {
        return values[0] + values[1];
    } else {
        return horizontal_sum<Count / 2>(
            __builtin_shufflevector(values, values, Half...) +
                __builtin_shufflevector(values, values, (Half + Count / 2)...),
            std::make_index_sequence<Count / 4>());
    }
}

ANAMNESIS_INLINE float horizontal_sum(Floats values) {
    return horizontal_sum<width>(values, std::make_index_sequence<width / 2>());
}

/// Half the lanes of a sum with the other half, for two sums at once; 2 * Half lanes of a sum lie
/// together before.
template <std::size_t Half, std::size_t... Lanes>
ANAMNESIS_INLINE Floats folded(Floats a, Floats b, std::index_sequence<Lanes...> /*lanes*/) {
    return __builtin_shufflevector(a, b, (Lanes / Half * 2 * Half + Lanes % Half)...) +
           __builtin_shufflevector(a, b, (Lanes / Half * 2 * Half + Lanes % Half + Half)...);
}

/// The totals of `Count` <= width vectors side by side, each with the bits of its
/// `horizontal_sum`; what follows them in `totals`, which has room for a vector, is no total.
template <std::size_t Count, std::size_t Half = width / 2>
ANAMNESIS_INLINE void horizontal_sums(const Floats* sums, float* totals) {
    constexpr std::size_t left = (Count + 1) / 2;
    Floats next[left];
    for (std::size_t i = 0; i < left; ++i) {
        const Floats& second = sums[2 * i + 1 < Count ? 2 * i + 1 : 2 * i];
        next[i] = folded<Half>(sums[2 * i], second, std::make_index_sequence<width>());
    }
    if constexpr (Half > 1) {
        horizontal_sums<left, Half / 2>(next, totals);
    } else {
        store(totals, next[0]);
    }
}

/// exp(x) for x <= 0, to 2 ulp; 0 below -87, where the smallest normal number is near. Float or
/// vector.
/// Source: Cephes expf (Moshier), without branches.
template <class Value, class Bits>
ANAMNESIS_INLINE Value exp_of_negative(Value x) {
    constexpr float shifter = 12582912.0F;  // 1.5 * 2^23: adding it rounds to a whole number
    constexpr float least = -87.0F;
    const Value clamped = x < least ? Value{} + least : x;
    const Value shifted = clamped * 1.44269504F + shifter;
    const Value whole = shifted - shifter;
    const Value rest = clamped - whole * 0.693359375F - whole * -2.12194440e-4F;
    Value p = rest * 1.9875691500e-4F + 1.3981999507e-3F;
    p = p * rest + 8.3334519073e-3F;
    p = p * rest + 4.1665795894e-2F;
    p = p * rest + 1.6666665459e-1F;
    p = p * rest + 5.0000001201e-1F;
    p = p * rest * rest + rest + 1.0F;
    const Bits power = __builtin_bit_cast(Bits, shifted) << 23U;
    const Value result = __builtin_bit_cast(Value, __builtin_bit_cast(Bits, p) + power);
    return x < least ? Value{} : result;
}

ANAMNESIS_INLINE Floats exp_of_negative(Floats x) {
    return exp_of_negative<Floats, Words>(x);
}

ANAMNESIS_INLINE float exp_of_negative(float x) {
    return exp_of_negative<float, std::uint32_t>(x);
}

template <class Value>
ANAMNESIS_INLINE Value sigmoid(Value x) {
    const Value small = exp_of_negative(x < 0.0F ? x : -x);
    return (x < 0.0F ? small : Value{} + 1.0F) / (small + 1.0F);
}

/// To 3 ulp. Near 0, where 1 - exp(-2 x) has lost digits, by its series.
template <class Value>
ANAMNESIS_INLINE Value hyperbolic_tangent(Value x) {
    constexpr float least = 0.25F;
    const Value size = x < 0.0F ? -x : x;
    const Value small = exp_of_negative(size * -2.0F);
    const Value far = (1.0F - small) / (1.0F + small);
    const Value square = x * x;
    Value p = square * 2.18694885e-2F - 5.39682540e-2F;
    p = p * square + 1.33333333e-1F;
    p = p * square - 3.33333333e-1F;
    const Value near = p * square * x + x;
    return size < least ? near : (x < 0.0F ? -far : far);
}

template <class Value>
ANAMNESIS_INLINE Value silu(Value x) {
    const Value small = exp_of_negative(x < 0.0F ? x : -x);
    return x * (x < 0.0F ? small : Value{} + 1.0F) / (small + 1.0F);
}

}  // namespace anamnesis::runtime::cpu::ANAMNESIS_LANES

#endif
