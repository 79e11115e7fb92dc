// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "anamnesis/runtime/torch.hpp"

#include <cstdint>

#include "recurrence.hpp"

namespace anamnesis::runtime {

/// What all forms of a recurrence in whole chunks begin with: N chunks of C tokens. Decays of whole
/// heads are 1 wide where those of channels are K wide.
struct Chunks {
    at::Tensor q{}, k{}, v{};  ///< [B, H, N, C, K or V], q times the scale
    at::Tensor from_start{};   ///< e^decay from before a chunk to each token: [.., C, 1 or K]
    at::Tensor log_whole{};    ///< of a chunk: [.., 1 or K]
    at::Tensor scores{};       ///< of queries and keys, decayed; 0 above the diagonal: [.., C, C]
    at::Tensor key_scores{};   ///< the same of keys and keys; undefined without beta
    at::Tensor keys_to_end{};  ///< keys decayed to the end of their chunk: [B, H, N, K, C]
};

/// Shapes: `chunks` * `length` tokens.
Chunks cut_into_chunks(const Recurrence& input, std::int64_t chunks, std::int64_t length);

/// [B, T, H] -> [B, H, N, C].
at::Tensor gates_in_chunks(const at::Tensor& x, std::int64_t chunks, std::int64_t length);

}  // namespace anamnesis::runtime
