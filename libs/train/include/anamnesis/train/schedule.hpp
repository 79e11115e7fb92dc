// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string_view>

namespace anamnesis::train {

/// How the learning rate falls after the warm-up.
enum class Decay : std::uint8_t {
    constant,
    linear,
    cosine,
};

/// Errors: `usage` for a word other than constant, linear and cosine.
Decay parse_decay(std::string_view word);
std::string_view to_string(Decay decay) noexcept;

/// A learning rate for every step: it rises linearly over the warm-up, reaching `peak` in its last
/// step, then falls to `peak * min_ratio`, which the last step has exactly.
struct Schedule {
    double peak = 1e-3;
    Decay decay = Decay::cosine;
    std::uint64_t steps = 1;
    std::uint64_t warmup = 0;
    double min_ratio = 0.0;

    /// Of step 0, 1, … steps - 1.
    double at(std::uint64_t step) const;
};

}  // namespace anamnesis::train
