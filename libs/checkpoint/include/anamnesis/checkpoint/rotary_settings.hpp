// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "anamnesis/base/json.hpp"

namespace anamnesis::checkpoint {

/// What the angles of a rotary position encoding depend on. It turns the first `dimensions` rows of
/// a head, halves paired: row j with row j + dimensions / 2.
struct RotarySettings {
    std::uint32_t dimensions = 0;
    double theta = 10'000.0;
    Json scaling{};                    ///< as `rope_scaling` says; null: none
    std::uint32_t context_length = 0;  ///< max_position_embeddings
};

}  // namespace anamnesis::checkpoint
