// SPDX-License-Identifier: Apache-2.0
#include "cpu_packed.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>

#include "anamnesis/base/check.hpp"
#include "anamnesis/base/dtype.hpp"

#if defined(__x86_64__)
#define ANAMNESIS_TARGET __attribute__((target("arch=x86-64-v3")))
#include "cpu_packed_formats.hpp"
#endif

namespace anamnesis::runtime::cpu {

namespace {

void round_run(std::span<const float, rounded_run> values,
               std::span<std::int16_t, rounded_run> integers,
               float& scale,
               float& sum) {
    constexpr float largest = 32767.0F;
    constexpr float nothing = 1e-30F;  // has no inverse that is finite
    float highest = 0.0F;
    bool is_finite = true;
    for (const float value : values) {
        highest = std::max(highest, std::abs(value));
        is_finite = is_finite && std::isfinite(value);
    }
    const float inverse = is_finite && highest > nothing ? largest / highest : 0.0F;
    std::int32_t total = 0;
    for (std::size_t i = 0; i < rounded_run; ++i) {
        const float shifted = (is_finite ? values[i] : 0.0F) * inverse + 12582912.0F;
        const std::int32_t integer = std::bit_cast<std::int32_t>(shifted) - 0x4B400000;
        integers[i] = static_cast<std::int16_t>(integer);
        total += integer;
    }
    scale = is_finite ? highest / largest : std::numeric_limits<float>::quiet_NaN();
    sum = scale * static_cast<float>(total);
}

}  // namespace

RoundedRows round_rows(std::span<const float> x, std::size_t rows) {
    RoundedRows rounded{.rows = rows, .inputs = x.size() / rows};
    const std::size_t runs = x.size() / rounded_run;
    rounded.values.resize(runs * rounded_run);
    rounded.scales.resize(runs);
    rounded.sums.resize(runs);
    for (std::size_t run = 0; run < runs; ++run) {
        round_run(x.subspan(run * rounded_run).first<rounded_run>(),
                  std::span(rounded.values).subspan(run * rounded_run).first<rounded_run>(),
                  rounded.scales[run],
                  rounded.sums[run]);
    }
    return rounded;
}

#if defined(__x86_64__)

namespace {

/// Bytes that are asked for before they are needed (cpu_streams.hpp).
constexpr std::size_t ahead = 1024;

ANAMNESIS_INLINE float total_of(__m256 values) {
    const __m128 four =
        _mm_add_ps(_mm256_castps256_ps128(values), _mm256_extractf128_ps(values, 1));
    const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}

ANAMNESIS_INLINE __m256i load_integers(const std::int16_t* source) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(source));
}

/// What some rows of weights give with some vectors, on their way through the blocks.
template <std::size_t Rows, std::size_t Vectors>
struct Sums {
    __m256 products[Rows][Vectors];
    __m256 offsets[Rows][Vectors];  ///< of blocks of eight runs
    float offset[Rows][Vectors];    ///< of blocks of one
};

/// What a vector's integers in a block stand for: its scales times those of the block.
template <class Format, std::size_t Rows, std::size_t Vectors>
ANAMNESIS_INLINE void join_scales(Sums<Rows, Vectors>& sums,
                                  std::size_t row,
                                  std::size_t v,
                                  const float* scales,
                                  const float* offsets,
                                  const RoundedRows& x,
                                  std::size_t place,
                                  float* joined) {
    if constexpr (Format::runs == 8) {
        _mm256_storeu_ps(
            joined,
            _mm256_mul_ps(_mm256_loadu_ps(scales), _mm256_loadu_ps(x.scales.data() + place)));
        if constexpr (Format::has_offset) {
            sums.offsets[row][v] = _mm256_fmadd_ps(_mm256_loadu_ps(offsets),
                                                   _mm256_loadu_ps(x.sums.data() + place),
                                                   sums.offsets[row][v]);
        }
    } else {
        joined[0] = scales[0] * x.scales[place];
        if constexpr (Format::has_offset) {
            sums.offset[row][v] += offsets[0] * x.sums[place];
        }
    }
}

template <class Format, std::size_t Rows, std::size_t Vectors>
ANAMNESIS_INLINE void add_block(Sums<Rows, Vectors>& sums,
                                std::size_t row,
                                const Byte* block,
                                const RoundedRows& x,
                                std::size_t first_vector,
                                std::size_t first_run) {
    float scales[Format::runs];
    float offsets[Format::runs];
    Format::read_scales(block, scales, offsets);
    const std::size_t runs_of_row = x.inputs / rounded_run;
    const std::size_t start = first_vector * runs_of_row + first_run;
    float joined[Vectors][Format::runs];
#pragma GCC unroll 4
    for (std::size_t v = 0; v < Vectors; ++v) {
        join_scales<Format>(sums, row, v, scales, offsets, x, start + v * runs_of_row, joined[v]);
    }
#pragma GCC unroll 8
    for (std::size_t run = 0; run < Format::runs; ++run) {
        const Integers q = Format::integers(block, run);
#pragma GCC unroll 4
        for (std::size_t v = 0; v < Vectors; ++v) {
            const std::size_t place = start + v * runs_of_row + run;
            const std::int16_t* const values = x.values.data() + place * rounded_run;
            const __m256i pairs =
                _mm256_add_epi32(_mm256_madd_epi16(q.low, load_integers(values)),
                                 _mm256_madd_epi16(q.high, load_integers(values + 16)));
            sums.products[row][v] = _mm256_fmadd_ps(
                _mm256_cvtepi32_ps(pairs), _mm256_set1_ps(joined[v][run]), sums.products[row][v]);
        }
    }
}

/// Rows `apart` rows from each other times some vectors, from several places at once.
template <class Format, std::size_t Rows, std::size_t Vectors>
ANAMNESIS_INLINE void dots(const Byte* first_row,
                           std::size_t apart,
                           std::size_t row_bytes,
                           const RoundedRows& x,
                           std::size_t first_vector,
                           float* y,
                           std::size_t step) {
    Sums<Rows, Vectors> sums = {};
    const std::size_t blocks = x.inputs / (rounded_run * Format::runs);
    for (std::size_t b = 0; b < blocks; ++b) {
#pragma GCC unroll 2
        for (std::size_t r = 0; r < Rows; ++r) {
            const Byte* const block = first_row + r * apart * row_bytes + b * Format::bytes;
            for (std::size_t line = 0; line < Format::bytes; line += 64) {
                __builtin_prefetch(block + ahead + line);
            }
            add_block<Format>(sums, r, block, x, first_vector, b * Format::runs);
        }
    }
    for (std::size_t r = 0; r < Rows; ++r) {
        for (std::size_t v = 0; v < Vectors; ++v) {
            y[v * step + r * apart] =
                total_of(_mm256_add_ps(sums.products[r][v], sums.offsets[r][v])) +
                sums.offset[r][v];
        }
    }
}

/// A stretch of rows times some vectors.
template <class Format, std::size_t Vectors>
ANAMNESIS_INLINE void dots_of_all(const Byte* rows,
                                  std::size_t count,
                                  std::size_t row_bytes,
                                  const RoundedRows& x,
                                  std::size_t first_vector,
                                  float* y,
                                  std::size_t step) {
    const std::size_t apart = Vectors == 1 ? count / 2 : 0;
    for (std::size_t r = 0; r < apart; ++r) {
        dots<Format, 2, Vectors>(
            rows + r * row_bytes, apart, row_bytes, x, first_vector, y + r, step);
    }
    for (std::size_t r = 2 * apart; r < count; ++r) {
        dots<Format, 1, Vectors>(rows + r * row_bytes, 1, row_bytes, x, first_vector, y + r, step);
    }
}

template <class Format>
ANAMNESIS_TARGET void product_of(const PackedMatrix& weight,
                                 const RoundedRows& x,
                                 float* y,
                                 std::size_t outputs,
                                 std::size_t begin,
                                 std::size_t end) {
    // Rows of the matrix meet all vectors while they are in the cache, except for one vector, which
    // needs no cache.
    const std::size_t strip = x.rows == 1 ? end - begin : 16;
    for (std::size_t o = begin; o < end; o += strip) {
        const std::size_t count = std::min(strip, end - o);
        const auto* rows = reinterpret_cast<const Byte*>(weight.bytes) + o * weight.row_bytes;
        std::size_t v = 0;
        for (; v + 4 <= x.rows; v += 4) {
            dots_of_all<Format, 4>(
                rows, count, weight.row_bytes, x, v, y + v * outputs + o, outputs);
        }
        for (; v < x.rows; ++v) {
            dots_of_all<Format, 1>(
                rows, count, weight.row_bytes, x, v, y + v * outputs + o, outputs);
        }
    }
}

/// 16 levels, each product and each sum rounded.
template <bool HasOffset>
ANAMNESIS_INLINE void put_values(__m256i levels, float scale, float offset, float* values) {
    for (const int half : {0, 1}) {
        const __m128i eight =
            half == 0 ? _mm256_castsi256_si128(levels) : _mm256_extracti128_si256(levels, 1);
        __m256 value =
            _mm256_mul_ps(_mm256_cvtepi32_ps(_mm256_cvtepi16_epi32(eight)), _mm256_set1_ps(scale));
        if constexpr (HasOffset) {
            value = _mm256_add_ps(value, _mm256_set1_ps(offset));
        }
        _mm256_storeu_ps(values + 8 * half, value);
    }
}

template <class Format>
ANAMNESIS_TARGET void unpack_of(const std::byte* bytes, float* values, std::size_t count) {
    const auto* block = reinterpret_cast<const Byte*>(bytes);
    for (std::size_t done = 0; done < count; done += rounded_run * Format::runs) {
        float scales[Format::runs];
        float offsets[Format::runs] = {};
        Format::read_scales(block, scales, offsets);
        for (std::size_t run = 0; run < Format::runs; ++run) {
            float low = scales[run];
            float high = scales[run];
            Integers levels;
            if constexpr (Format::has_half_scales) {
                levels = Format::levels(block, run);
                low *= static_cast<float>(Format::half_scale(block, 2 * run));
                high *= static_cast<float>(Format::half_scale(block, 2 * run + 1));
            } else {
                levels = Format::integers(block, run);
            }
            float* const target = values + done + run * rounded_run;
            put_values<Format::has_offset>(levels.low, low, offsets[run], target);
            put_values<Format::has_offset>(
                levels.high, high, offsets[run], target + rounded_run / 2);
        }
        block += Format::bytes;
    }
}

using Product = void (*)(const PackedMatrix& weight,
                         const RoundedRows& x,
                         float* y,
                         std::size_t outputs,
                         std::size_t begin,
                         std::size_t end);

using Unpack = void (*)(const std::byte* bytes, float* values, std::size_t count);

struct Kernels {
    Product product = nullptr;
    Unpack unpack = nullptr;
};

template <class Format>
constexpr Kernels kernels_of() {
    return {.product = product_of<Format>, .unpack = unpack_of<Format>};
}

/// Null where there are none.
Kernels find_kernels(DType dtype) noexcept {
    switch (dtype) {
        using enum DType;
        case q4_0:
            return kernels_of<Q4_0>();
        case q4_1:
            return kernels_of<Q4_1>();
        case q5_0:
            return kernels_of<Q5_0>();
        case q5_1:
            return kernels_of<Q5_1>();
        case q8_0:
            return kernels_of<Q8_0>();
        case q3_k:
            return kernels_of<Q3K>();
        case q4_k:
            return kernels_of<Q4K>();
        case q5_k:
            return kernels_of<Q5K>();
        case q6_k:
            return kernels_of<Q6K>();
        case iq4_nl:
            return kernels_of<Iq4Nl>();
        case iq4_xs:
            return kernels_of<Iq4Xs>();
        default:
            return {};
    }
}

}  // namespace

bool has_packed_product(DType dtype) noexcept {
    return __builtin_cpu_supports("avx2") != 0 && __builtin_cpu_supports("fma") != 0 &&
           __builtin_cpu_supports("f16c") != 0 && find_kernels(dtype).product != nullptr;
}

void product(const PackedMatrix& weight,
             const RoundedRows& x,
             float* y,
             std::size_t outputs,
             std::size_t begin,
             std::size_t end) {
    const Product run = find_kernels(weight.dtype).product;
    ANAMNESIS_CHECK(
        run != nullptr && x.inputs % block_elements(weight.dtype) == 0 &&
            weight.row_bytes == x.inputs / block_elements(weight.dtype) * block_bytes(weight.dtype),
        "packed rows of whole blocks");
    run(weight, x, y, outputs, begin, end);
}

void unpack(const PackedMatrix& weight, std::size_t row, float* values, std::size_t count) {
    const Unpack run = find_kernels(weight.dtype).unpack;
    ANAMNESIS_CHECK(
        run != nullptr && count % block_elements(weight.dtype) == 0 &&
            weight.row_bytes == count / block_elements(weight.dtype) * block_bytes(weight.dtype),
        "packed rows of whole blocks");
    run(weight.bytes + row * weight.row_bytes, values, count);
}

#else

bool has_packed_product(DType /*dtype*/) noexcept {
    return false;
}

void product(const PackedMatrix& /*weight*/,
             const RoundedRows& /*x*/,
             float* /*y*/,
             std::size_t /*outputs*/,
             std::size_t /*begin*/,
             std::size_t /*end*/) {
    ANAMNESIS_CHECK(false, "packed products where there are some");
}

void unpack(const PackedMatrix& /*weight*/,
            std::size_t /*row*/,
            float* /*values*/,
            std::size_t /*count*/) {
    ANAMNESIS_CHECK(false, "packed rows where there are products of them");
}

#endif

}  // namespace anamnesis::runtime::cpu
