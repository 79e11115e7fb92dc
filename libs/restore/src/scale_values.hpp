// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

#include "anamnesis/checkpoint/finding.hpp"
#include "anamnesis/checkpoint/model.hpp"

#include "pairing.hpp"

namespace anamnesis::restore {

/// Whose scales are looked at.
enum class ScaledTensors : std::uint8_t {
    attention,  ///< of the matrices that a repair takes rows of
    all,
};

/// Scales of 8-bit floats that are not finite and positive.
/// Cost: reads the scales.
void find_scale_values(const checkpoint::RecognisedCheckpoint& source,
                       ScaledTensors which,
                       std::vector<checkpoint::Finding>& findings);

/// Attention matrices of scaled 8-bit floats on both sides whose values are of sizes that only a
/// wrong scale explains.
/// Cost: eight rows of each.
void find_scale_ratio(const checkpoint::RecognisedCheckpoint& pre,
                      const checkpoint::RecognisedCheckpoint& post,
                      const Pairing& pairing,
                      std::vector<checkpoint::Finding>& findings);

}  // namespace anamnesis::restore
