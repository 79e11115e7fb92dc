// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace anamnesis {

/// A counter-based generator: the n-th number depends on seed and n alone, on every machine.
/// Source: SplitMix64, Steele, Lea & Flood 2014.
class Random {
public:
    explicit constexpr Random(std::uint64_t seed) : state_(seed) {}

    constexpr std::uint64_t next() {
        state_ += 0x9E3779B97F4A7C15ULL;
        std::uint64_t mixed = state_;
        mixed = (mixed ^ (mixed >> 30U)) * 0xBF58476D1CE4E5B9ULL;
        mixed = (mixed ^ (mixed >> 27U)) * 0x94D049BB133111EBULL;
        return mixed ^ (mixed >> 31U);
    }

    /// Uniform in [0, bound); bound > 0.
    constexpr std::uint64_t below(std::uint64_t bound) {
        return static_cast<std::uint64_t>((static_cast<Wide>(next()) * bound) >> 64U);
    }

    /// Uniform in [0, 1).
    constexpr double uniform() { return static_cast<double>(next() >> 11U) * 0x1.0p-53; }

    /// Standard normal, by the sum of twelve uniforms: tails end at six, which test data and
    /// random initial weights do not miss.
    constexpr double normal() {
        double sum = -6.0;
        for (int i = 0; i < 12; ++i) {
            sum += uniform();
        }
        return sum;
    }

private:
    __extension__ using Wide = unsigned __int128;

    std::uint64_t state_;
};

}  // namespace anamnesis
