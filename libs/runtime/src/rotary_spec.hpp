// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "anamnesis/base/json.hpp"
#include "anamnesis/runtime/model_spec.hpp"

namespace anamnesis::runtime {

/// What the angles of a rotary encoding depend on.
struct RotarySettings {
    std::uint32_t dimensions = 0;
    double theta = 10'000.0;
    Json scaling;                      ///< as `rope_scaling` says; null: none
    std::uint32_t context_length = 0;  ///< max_position_embeddings
};

/// Frequencies theta^(-2j / dimensions), scaled as the settings say: `linear`, `llama3`, `yarn`.
/// Errors: `unsupported` for another scaling; `malformed` for keys that are missing or odd sizes.
/// Source: transformers 5.23, modeling_rope_utils.py; Peng et al. 2023, "YaRN", section 3.
RotarySpec make_rotary(const RotarySettings& settings);

}  // namespace anamnesis::runtime
