// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "anamnesis/runtime/torch.hpp"

#include <span>

#include "mixers/mamba2.hpp"

namespace anamnesis::runtime {

/// What lies between the projections of Mamba-2, for one token of each sequence: convolution,
/// steps, recurrence, gate and norm, in two loops. States move on in place.
/// Shapes: projected [B, 1, rows of in_proj] -> [B, 1, heads * head_dim].
at::Tensor step_mamba2(const Mamba2Layer& layer,
                       const at::Tensor& projected,
                       std::span<LayerState* const> states);
/// True where that is possible: one token on the CPU in float32, without gradients.
bool can_step_mamba2(const at::Tensor& projected, std::span<LayerState* const> states);

}  // namespace anamnesis::runtime
