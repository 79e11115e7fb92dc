// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

#include "anamnesis/checkpoint/rotary_settings.hpp"

namespace anamnesis::runtime {

/// Rotary position encoding of the first `dimensions` rows of a head, halves paired: row j turns
/// with row j + dimensions / 2.
struct RotarySpec {
    std::uint32_t dimensions = 0;
    std::vector<double> frequencies{};  ///< radians per position, one for each pair
    double magnitude = 1.0;             ///< factor on cosine and sine (YaRN)
};

/// Frequencies theta^(-2j / dimensions), scaled as the settings say: `linear`, `llama3`,
/// `proportional`, `yarn`.
/// Errors: `unsupported` for another scaling; `malformed` for keys that are missing or odd sizes.
/// Source: transformers 5.23, modeling_rope_utils.py; Peng et al. 2023, "YaRN", section 3.
RotarySpec make_rotary(const checkpoint::RotarySettings& settings);

}  // namespace anamnesis::runtime
