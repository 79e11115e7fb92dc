// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "anamnesis/runtime/torch.hpp"

#include <cstdint>

#include "recurrence.hpp"
#include "rotary.hpp"

namespace anamnesis::runtime::differentiable {

// What training runs on the CPU in float32: one node of the graph for each operator, a forward and
// a backward pass without tensors in between. Gradients can be taken once: they have no graph of
// their own. For the same number of threads results are the same, bit for bit.

/// True where a gradient is recorded that these operators can give.
bool applies_to(const at::Tensor& x);
bool applies_to(const at::Tensor& x, const at::Tensor& y);
/// Lightning attention of a whole text: a fixed decay, no correction, no state before it.
bool applies_to(const Recurrence& recurrence);

/// x weight^T + bias, as at::linear. `bias` may be undefined; a narrower weight is widened for each
/// pass, and what is kept between them is the narrow one.
at::Tensor linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias);

/// gain * x / sqrt(mean of squares + eps) over the last dimension.
at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& gain, double eps);

/// silu(gate) * up.
at::Tensor swiglu(const at::Tensor& gate, const at::Tensor& up);

/// y * sigmoid(gate).
at::Tensor gated(const at::Tensor& y, const at::Tensor& gate);

/// x [B, T, H, D] turned by its positions' tables.
at::Tensor rotate(const at::Tensor& x, const RotaryTables& tables);

/// The outputs [B, T, H, V] of `naive_recurrence`.
at::Tensor lightning(const Recurrence& recurrence);

}  // namespace anamnesis::runtime::differentiable
