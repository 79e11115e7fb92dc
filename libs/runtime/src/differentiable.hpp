// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "anamnesis/runtime/torch.hpp"

#include <cstdint>
#include <optional>

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

/// The input of a product, and its values in the type in which products are made.
struct LinearFactor {
    at::Tensor x{};       ///< float32; its gradient is asked for
    at::Tensor factor{};  ///< x itself, or x rounded to bfloat16, without a graph
};

/// x weight^T + bias, as at::linear. `bias` may be undefined. The weight, and later the gradient,
/// are brought to the factor's type for each pass; what is kept between them is as it was.
at::Tensor linear(const LinearFactor& input, const at::Tensor& weight, const at::Tensor& bias);

/// down(silu(gate(x)) * up(x)) of bfloat16 matrices, where the processor multiplies them: all of it
/// is in bfloat16, what goes in and comes out is float32.
at::Tensor swiglu_feed_forward(const LinearFactor& input,
                               const at::Tensor& gate_weight,
                               const at::Tensor& up_weight,
                               const at::Tensor& down_weight);

/// gain * x / sqrt(mean of squares + eps) over the last dimension.
at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& gain, double eps);

/// silu(gate) * up.
at::Tensor swiglu(const at::Tensor& gate, const at::Tensor& up);

/// Causal softmax attention whose factors are rounded to bfloat16 and whose sums are float32.
/// Shapes: q [B, T, heads, D], k, v [B, T, kv_heads, D] -> as q. A query sees the nearest `window`
/// keys up to its own. Only where can_attend().
bool can_attend(const at::Tensor& q, const at::Tensor& v);
at::Tensor attend(const at::Tensor& q,
                  const at::Tensor& k,
                  const at::Tensor& v,
                  std::optional<std::int64_t> window);

/// y * sigmoid(gate).
at::Tensor gated(const at::Tensor& y, const at::Tensor& gate);

/// x [B, T, H, D] turned by its positions' tables.
at::Tensor rotate(const at::Tensor& x, const RotaryTables& tables);

/// The outputs [B, T, H, V] of `naive_recurrence`.
at::Tensor lightning(const Recurrence& recurrence);

}  // namespace anamnesis::runtime::differentiable
