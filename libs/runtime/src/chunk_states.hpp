// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "anamnesis/runtime/torch.hpp"

namespace anamnesis::runtime {

// What lies between the chunks of a recurrence, in few operators: on a device each costs its
// launch. Chunks are counted by N, their tokens by C.

struct ChunkStates {
    at::Tensor entering{};  ///< [B, H, N, K, V]
    at::Tensor last{};      ///< [B, H, K, V]
};

/// S_(n+1) = e^g S_n + added_n with the same g for all chunks of a head, all n at once.
/// Shapes: log_factor [H], added [B, H, N, K, V], first [B, H, K, V].
ChunkStates decayed_states(const at::Tensor& log_factor,
                           const at::Tensor& added,
                           const at::Tensor& first);

/// S_(n+1) = transition_n S_n + added_n, one product a chunk.
/// Shapes: transition [B, H, N, K, K], added [B, H, N, K, V], first [B, H, K, V].
ChunkStates multiplied_states(const at::Tensor& transition,
                              const at::Tensor& added,
                              const at::Tensor& first);

/// (I + lower)^-1, from blocks of one row to blocks of all: as exact as substitution, in products.
/// Shapes: lower [..., C, C], zero on and above the diagonal -> the same.
at::Tensor inverse_of_unit_lower(const at::Tensor& lower);

}  // namespace anamnesis::runtime
