// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "anamnesis/runtime/torch.hpp"

#include <array>
#include <span>

#include "mixers/kimi_delta.hpp"

namespace anamnesis::runtime {

/// What the projections of a Kimi delta layer give, before convolutions and gates.
struct KimiDeltaInputs {
    std::array<at::Tensor, 3> parts;  ///< q, k and v, [B, T, channels]
    at::Tensor decay;                 ///< [B, T, channels]
    at::Tensor gate;                  ///< the same
    at::Tensor beta;                  ///< [B, T, heads]
};

/// What lies between the projections, for one token of each sequence, head by head in one loop:
/// convolutions, gates, recurrence, norm. States move on in place.
/// Shapes: T = 1 -> [B, 1, channels].
at::Tensor step_kimi_delta(const KimiDeltaLayer& layer,
                           const KimiDeltaInputs& inputs,
                           std::span<LayerState* const> states);
/// True where that is possible: one token on the CPU in float32, without gradients.
bool can_step_kimi_delta(const KimiDeltaInputs& inputs, std::span<LayerState* const> states);

}  // namespace anamnesis::runtime
