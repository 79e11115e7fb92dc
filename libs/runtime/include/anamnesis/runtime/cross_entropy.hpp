// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "anamnesis/runtime/torch.hpp"

namespace anamnesis::runtime {

/// sum_i weights[i] * (log sum_c exp(logits[i][c]) - logits[i][targets[i]]); differentiable by the
/// logits. The sum is float64 where the logits are on the CPU in float32.
/// Shapes: logits [n, classes], targets [n] int64, each below classes, weights [n] or undefined
/// (all 1).
at::Tensor summed_cross_entropy(const at::Tensor& logits,
                                const at::Tensor& targets,
                                const at::Tensor& weights);

}  // namespace anamnesis::runtime
