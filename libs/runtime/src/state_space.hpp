// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "anamnesis/runtime/torch.hpp"

#include "anamnesis/checkpoint/mixers/mamba2.hpp"

#include "norm.hpp"

namespace anamnesis::runtime {

/// Input of Mamba-2's recurrence, whose heads share B and C in groups of neighbours.
///
/// Shapes: x [B, T, H, P], step [B, T, H], b, c [B, T, G, N] with G a divisor of H, log_rate, skip
/// [H], state [B, H, N, P]. Units: a step is positive; rates are logarithms.
struct StateSpace {
    at::Tensor x{};
    at::Tensor step{};
    at::Tensor b{};
    at::Tensor c{};
    at::Tensor log_rate{};  ///< A_log
    at::Tensor skip{};      ///< D
    at::Tensor state{};     ///< undefined: zero
};

struct StateSpaceResult {
    at::Tensor output{};  ///< [B, T, H, P]
    at::Tensor state{};   ///< [B, H, N, P], after the last token
};

/// softplus(dt + bias) within the limits of the spec. Shapes: dt [B, T, H], bias [H].
at::Tensor make_steps(const at::Tensor& dt,
                      const at::Tensor& bias,
                      const checkpoint::Mamba2Spec& spec);

/// For each head
///
///     S = exp(-step_t e^log_rate) S + b_t (step_t x_t)^T,   y_t = S^T c_t + skip x_t
///
/// in chunks of 64 tokens: products of matrices inside a chunk, one step of S between. What heads
/// share is computed once. Differentiable.
/// Source: Dao & Gu 2024, "Transformers are SSMs", section 6.
StateSpaceResult run_state_space(const StateSpace& input);

/// y and the gate z as one, normalised as the spec says. z may be overwritten.
/// Shapes: y, z [B, T, H P] -> the same.
at::Tensor apply_gated_norm(const RmsNorm& norm,
                            const at::Tensor& y,
                            const at::Tensor& z,
                            const checkpoint::Mamba2Spec& spec);

}  // namespace anamnesis::runtime
