// SPDX-License-Identifier: Apache-2.0
#pragma once

// What the blocks of each quantised type hold, for processors with AVX2. Included by cpu_packed.cpp
// alone. Layouts: docs/gguf.md and block_values.hpp. A run of 32 values is `scale * integer +
// offset`; where halves of a run have scales of their own, which are small integers, these are in
// the integers, and `levels` are without them.

#include <cstddef>
#include <cstdint>
#include <cstring>

#include <immintrin.h>

#include "cpu_inline.hpp"

namespace anamnesis::runtime::cpu {

using Byte = std::uint8_t;

/// 32 integers of 16 bits.
struct Integers {
    __m256i low;
    __m256i high;
};

ANAMNESIS_INLINE float half_at(const Byte* source) {
    std::uint16_t bits = 0;
    std::memcpy(&bits, source, sizeof bits);
    return _cvtsh_ss(bits);
}

ANAMNESIS_INLINE __m128i load_16(const Byte* source) {
    return _mm_loadu_si128(reinterpret_cast<const __m128i*>(source));
}

ANAMNESIS_INLINE __m256i load_32(const Byte* source) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(source));
}

/// 32 bytes of integers, signed.
ANAMNESIS_INLINE Integers widened(__m256i bytes) {
    return {_mm256_cvtepi8_epi16(_mm256_castsi256_si128(bytes)),
            _mm256_cvtepi8_epi16(_mm256_extracti128_si256(bytes, 1))};
}

/// 16 bytes, unsigned, as integers of 16 bits.
ANAMNESIS_INLINE __m256i words_at(const Byte* source) {
    return _mm256_cvtepu8_epi16(load_16(source));
}

ANAMNESIS_INLINE __m256i low_nibbles(__m256i words) {
    return _mm256_and_si256(words, _mm256_set1_epi16(15));
}

ANAMNESIS_INLINE __m256i high_nibbles(__m256i words) {
    return _mm256_srli_epi16(words, 4);
}

/// The low four bits of 16 bytes, then the high ones.
ANAMNESIS_INLINE Integers nibble_integers(const Byte* source) {
    const __m256i words = words_at(source);
    return {low_nibbles(words), high_nibbles(words)};
}

/// Four bits of each of 32 bytes: the low ones of even runs, the high ones of odd runs.
ANAMNESIS_INLINE Integers nibble_integers_of_run(const Byte* source, std::size_t run) {
    const __m256i low = words_at(source);
    const __m256i high = words_at(source + 16);
    return run % 2 == 0 ? Integers{low_nibbles(low), low_nibbles(high)}
                        : Integers{high_nibbles(low), high_nibbles(high)};
}

/// The low four bits of 16 bytes, then the high ones.
ANAMNESIS_INLINE __m256i nibbles(const Byte* source) {
    const __m128i both = load_16(source);
    return _mm256_and_si256(_mm256_set_m128i(_mm_srli_epi16(both, 4), both), _mm256_set1_epi8(15));
}

/// Four bits of each of 32 bytes: the low ones of even runs, the high ones of odd runs.
ANAMNESIS_INLINE __m256i nibbles_of_run(const Byte* source, std::size_t run) {
    const __m256i both = load_32(source);
    return _mm256_and_si256(run % 2 == 0 ? both : _mm256_srli_epi16(both, 4), _mm256_set1_epi8(15));
}

/// 16 where a bit of 32 is set, else 0.
ANAMNESIS_INLINE __m256i fifth_bits(const Byte* source) {
    std::uint32_t bits = 0;
    std::memcpy(&bits, source, sizeof bits);
    const __m256i spread = _mm256_shuffle_epi8(
        _mm256_set1_epi32(static_cast<int>(bits)),
        _mm256_set_epi64x(
            0x0303030303030303, 0x0202020202020202, 0x0101010101010101, 0x0000000000000000));
    const __m256i mask = _mm256_set1_epi64x(static_cast<std::int64_t>(0x8040201008040201ULL));
    return _mm256_and_si256(_mm256_cmpeq_epi8(_mm256_and_si256(spread, mask), mask),
                            _mm256_set1_epi8(16));
}

/// 16 where bit `run` of a byte is set, else 0.
ANAMNESIS_INLINE __m256i bit_as_sixteen(const Byte* source, std::size_t run) {
    const __m256i mask = _mm256_set1_epi8(static_cast<char>(1U << run));
    return _mm256_and_si256(_mm256_cmpeq_epi8(_mm256_and_si256(load_32(source), mask), mask),
                            _mm256_set1_epi8(16));
}

/// The integers of each half times its own factor: below 2^15 for factors of 8 bits and integers
/// of 6.
ANAMNESIS_INLINE Integers times(const Integers& integers, int low, int high) {
    return {_mm256_mullo_epi16(integers.low, _mm256_set1_epi16(static_cast<short>(low))),
            _mm256_mullo_epi16(integers.high, _mm256_set1_epi16(static_cast<short>(high)))};
}

/// Blocks of one run with a scale of float16 in front.
template <std::size_t Bytes, bool HasOffset>
struct SingleRun {
    static constexpr std::size_t runs = 1;
    static constexpr std::size_t bytes = Bytes;
    static constexpr bool has_offset = HasOffset;
    static constexpr bool has_half_scales = false;
    ANAMNESIS_INLINE void read_scales(const Byte* block, float* scales, float* offsets) {
        scales[0] = half_at(block);
        if constexpr (HasOffset) {
            offsets[0] = half_at(block + 2);
        }
    }
};

struct Q4_0 : SingleRun<18, false> {
    ANAMNESIS_INLINE Integers integers(const Byte* block, std::size_t /*run*/) {
        const Integers levels = nibble_integers(block + 2);
        const __m256i eight = _mm256_set1_epi16(8);
        return {_mm256_sub_epi16(levels.low, eight), _mm256_sub_epi16(levels.high, eight)};
    }
};

struct Q4_1 : SingleRun<20, true> {
    ANAMNESIS_INLINE Integers integers(const Byte* block, std::size_t /*run*/) {
        return nibble_integers(block + 4);
    }
};

struct Q5_0 : SingleRun<22, false> {
    ANAMNESIS_INLINE Integers integers(const Byte* block, std::size_t /*run*/) {
        const __m256i levels = _mm256_or_si256(nibbles(block + 6), fifth_bits(block + 2));
        return widened(_mm256_sub_epi8(levels, _mm256_set1_epi8(16)));
    }
};

struct Q5_1 : SingleRun<24, true> {
    ANAMNESIS_INLINE Integers integers(const Byte* block, std::size_t /*run*/) {
        return widened(_mm256_or_si256(nibbles(block + 8), fifth_bits(block + 4)));
    }
};

struct Q8_0 : SingleRun<34, false> {
    ANAMNESIS_INLINE Integers integers(const Byte* block, std::size_t /*run*/) {
        return widened(load_32(block + 2));
    }
};

/// The levels that four bits choose.
ANAMNESIS_INLINE Integers chosen_levels(__m256i choices) {
    const __m128i levels =
        _mm_setr_epi8(-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113);
    return widened(_mm256_shuffle_epi8(_mm256_broadcastsi128_si256(levels), choices));
}

struct Iq4Nl : SingleRun<18, false> {
    ANAMNESIS_INLINE Integers integers(const Byte* block, std::size_t /*run*/) {
        return chosen_levels(nibbles(block + 2));
    }
};

/// Blocks of eight runs.
struct EightRuns {
    static constexpr std::size_t runs = 8;
};

struct Iq4Xs : EightRuns {
    static constexpr std::size_t bytes = 136;
    static constexpr bool has_offset = false;
    static constexpr bool has_half_scales = false;
    ANAMNESIS_INLINE void read_scales(const Byte* block, float* scales, float* /*offsets*/) {
        const float d = half_at(block);
        const unsigned high = block[2] | static_cast<unsigned>(block[3]) << 8U;
        for (unsigned run = 0; run < runs; ++run) {
            const unsigned low = static_cast<unsigned>(block[4 + run / 2]) >> (4 * (run % 2)) & 15U;
            scales[run] =
                d * static_cast<float>(static_cast<int>(low | (high >> (2 * run) & 3U) << 4U) - 32);
        }
    }
    ANAMNESIS_INLINE Integers integers(const Byte* block, std::size_t run) {
        return chosen_levels(nibbles(block + 8 + 16 * run));
    }
};

/// Scales and minima of six bits each.
struct SixBitScales : EightRuns {
    static constexpr bool has_offset = true;
    static constexpr bool has_half_scales = false;
    ANAMNESIS_INLINE void read_scales(const Byte* block, float* scales, float* offsets) {
        std::uint32_t words[3];
        std::memcpy(words, block + 4, sizeof words);
        constexpr std::uint32_t six = 0x3F3F3F3FU;
        constexpr std::uint32_t four = 0x0F0F0F0FU;
        constexpr std::uint32_t two = 0x03030303U;
        const std::uint32_t of_scales[2] = {words[0] & six,
                                            (words[2] & four) | ((words[0] >> 6U) & two) << 4U};
        const std::uint32_t of_minima[2] = {
            words[1] & six, ((words[2] >> 4U) & four) | ((words[1] >> 6U) & two) << 4U};
        _mm256_storeu_ps(scales, _mm256_mul_ps(floats(of_scales), _mm256_set1_ps(half_at(block))));
        _mm256_storeu_ps(offsets,
                         _mm256_mul_ps(floats(of_minima), _mm256_set1_ps(-half_at(block + 2))));
    }

private:
    ANAMNESIS_INLINE __m256 floats(const std::uint32_t* bytes) {
        return _mm256_cvtepi32_ps(
            _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(bytes))));
    }
};

struct Q4K : SixBitScales {
    static constexpr std::size_t bytes = 144;
    ANAMNESIS_INLINE Integers integers(const Byte* block, std::size_t run) {
        return nibble_integers_of_run(block + 16 + 32 * (run / 2), run);
    }
};

struct Q5K : SixBitScales {
    static constexpr std::size_t bytes = 176;
    ANAMNESIS_INLINE Integers integers(const Byte* block, std::size_t run) {
        return widened(_mm256_or_si256(nibbles_of_run(block + 48 + 32 * (run / 2), run),
                                       bit_as_sixteen(block + 16, run)));
    }
};

/// One scale of float16; those of half runs are integers.
template <class Format, std::size_t Bytes, std::size_t ScalePlace>
struct HalfRunScales : EightRuns {
    static constexpr std::size_t bytes = Bytes;
    static constexpr bool has_offset = false;
    static constexpr bool has_half_scales = true;
    ANAMNESIS_INLINE Integers integers(const Byte* block, std::size_t run) {
        return times(Format::levels(block, run),
                     Format::half_scale(block, 2 * run),
                     Format::half_scale(block, 2 * run + 1));
    }
    ANAMNESIS_INLINE void read_scales(const Byte* block, float* scales, float* /*offsets*/) {
        _mm256_storeu_ps(scales, _mm256_set1_ps(half_at(block + ScalePlace)));
    }
};

/// Two bits of each of 32 bytes, those of a run of four.
ANAMNESIS_INLINE __m256i two_bits_of_run(const Byte* source, std::size_t run) {
    const __m256i shifted = _mm256_srli_epi16(load_32(source), static_cast<int>(2 * (run % 4)));
    return _mm256_and_si256(shifted, _mm256_set1_epi8(3));
}

struct Q6K : HalfRunScales<Q6K, 210, 208> {
    ANAMNESIS_INLINE int half_scale(const Byte* block, std::size_t index) {
        return static_cast<std::int8_t>(block[192 + index]);
    }
    ANAMNESIS_INLINE Integers levels(const Byte* block, std::size_t run) {
        const std::size_t half = run / 4;
        const std::size_t quarter = run % 4;
        const __m256i low = nibbles_of_run(block + 64 * half + 32 * (quarter % 2), quarter / 2);
        const __m256i high = _mm256_slli_epi16(two_bits_of_run(block + 128 + 32 * half, run), 4);
        return widened(_mm256_sub_epi8(_mm256_or_si256(low, high), _mm256_set1_epi8(32)));
    }
};

struct Q3K : HalfRunScales<Q3K, 110, 108> {
    ANAMNESIS_INLINE int half_scale(const Byte* block, std::size_t index) {
        const Byte* const packed = block + 96;
        const unsigned low = index < 8 ? packed[index] & 15U : packed[index - 8] >> 4U;
        const unsigned high =
            static_cast<unsigned>(packed[8 + index % 4]) >> (2 * (index / 4)) & 3U;
        return static_cast<int>(low | high << 4U) - 32;
    }
    ANAMNESIS_INLINE Integers levels(const Byte* block, std::size_t run) {
        const __m256i low = two_bits_of_run(block + 32 + 32 * (run / 4), run);
        const __m256i high = _mm256_srli_epi16(bit_as_sixteen(block, run), 2);
        return widened(_mm256_sub_epi8(_mm256_or_si256(low, high), _mm256_set1_epi8(4)));
    }
};

}  // namespace anamnesis::runtime::cpu
