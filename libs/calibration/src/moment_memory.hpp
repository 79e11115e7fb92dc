// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "anamnesis/restore/plan.hpp"

namespace anamnesis::calibration {

/// What the moments of a plan take, both sides and what is held back of them.
struct MomentMemory {
    std::uint64_t all = 0;            ///< bytes
    std::uint64_t largest_layer = 0;  ///< of the layer that takes most
};

/// An estimate from shapes alone.
MomentMemory estimate_moments(const restore::Plan& plan);

/// Values in the moments of all key-value heads of a layer above which one moment serves them all:
/// they were measured equal (docs/method.md, "Fit"), and one costs a forward pass far less.
inline constexpr std::uint64_t most_head_values = std::uint64_t{1} << 22U;

}  // namespace anamnesis::calibration
