// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "anamnesis/runtime/torch.hpp"

#include <cstdint>

namespace anamnesis::runtime {

/// Input of a linear recurrence over a matrix state S for each head.
///
/// Shapes: q, k [B, T, H, K], v [B, T, H, V], beta [B, T, H], state [B, H, K, V]; decay [B, T, H],
/// [H] for the same at every step, or [B, T, H, K] for one of each key channel, which row k of S
/// then has. Units: decay is a logarithm, at most 0.
struct Recurrence {
    at::Tensor q{};
    at::Tensor k{};
    at::Tensor v{};
    at::Tensor decay{};
    at::Tensor beta{};   ///< undefined: no correction (simple GLA, lightning attention)
    at::Tensor state{};  ///< undefined: zero
    double scale = 1.0;
};

struct RecurrenceResult {
    at::Tensor output{};  ///< [B, T, H, V]
    at::Tensor state{};   ///< [B, H, K, V], after the last token
};

/// Token by token, as the definition says:
///
///     S = exp(decay_t) S,  u = beta_t (v_t - S^T k_t)  or v_t without beta,
///     S = S + k_t u^T,     o_t = scale * S^T q_t
///
/// Source: Yang et al. 2024, "Gated Delta Networks", section 3; Kimi Team 2025, "Kimi Linear",
/// section 3; docs/runtime.md.
RecurrenceResult naive_recurrence(const Recurrence& input);

/// The same in chunks of 64 tokens: products of matrices inside a chunk, one step of the state
/// between chunks. Differentiable like the other.
///
/// Where channels decay by themselves, a decay between two tokens of a chunk is split at the
/// beginning of the later one's block of 16, so that no factor is above 1.
///
/// With beta the values within a chunk solve (I + A) U = diag(beta) (V - diag(e^c) K S) with
/// A_ij = beta_i e^(c_i - c_j) (k_i . k_j) below the diagonal, c the running sum of decays.
RecurrenceResult chunked_recurrence(const Recurrence& input);

/// One token (T = 1) that may overwrite `input.state`; the fast form of `naive_recurrence`.
RecurrenceResult step_recurrence(const Recurrence& input);

/// `step_recurrence` for one token without gradients, else `chunked_recurrence`.
RecurrenceResult run_recurrence(const Recurrence& input);

}  // namespace anamnesis::runtime
