// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "anamnesis/runtime/torch.hpp"

#include <span>

#include "mixers/gated_delta.hpp"

namespace anamnesis::runtime {

/// What the projections of a gated delta layer give.
struct DeltaInputs {
    at::Tensor mixed;  ///< [B, T, channels]: all q, all k, all v, before the convolution
    at::Tensor z;      ///< [B, T, value_heads, value_dim]
    at::Tensor b;      ///< [B, T, value_heads]
    at::Tensor a;
};

/// What lies between the projections, for one token of each sequence, head by head in one loop:
/// convolution, gates, recurrence, norm. States move on in place.
/// Shapes: T = 1 -> [B, 1, value_heads * value_dim].
at::Tensor step_gated_delta(const GatedDeltaLayer& layer,
                            const DeltaInputs& inputs,
                            std::span<LayerState* const> states);
/// True where that is possible: one token on the CPU in float32, without gradients.
bool can_step_gated_delta(const DeltaInputs& inputs, std::span<LayerState* const> states);

/// All kernels of the convolution as one: [channels, W].
at::Tensor join_kernels(const GatedDeltaLayer& layer);

}  // namespace anamnesis::runtime
