// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "anamnesis/runtime/torch.hpp"

#include <cstdint>

#include "anamnesis/runtime/network.hpp"
#include "anamnesis/train/batch.hpp"

namespace anamnesis::train {

/// Bytes that a step of training holds at once, from shapes alone.
struct MemoryEstimate {
    std::uint64_t weights = 0;  ///< with float32 masters where the network is in bfloat16
    std::uint64_t gradients = 0;
    std::uint64_t moments = 0;
    std::uint64_t activations = 0;  ///< what the backward pass reads, and the logits

    std::uint64_t total() const { return weights + gradients + moments + activations; }
};

/// For the largest batch, all of whose tokens are taken as supervised. With layers that are
/// recomputed a step holds what goes into each, and the values of one.
MemoryEstimate estimate_memory(const runtime::Network& network,
                               const BatchSource::Size& largest,
                               bool recomputes_layers = false);

/// Bytes that this machine can give without swapping; 0 where it does not say.
std::uint64_t available_memory();

/// Bytes that a device has free: of the CPU the machine's, as above.
std::uint64_t available_memory(const at::Device& device);

/// Bytes that this process holds now; 0 where the machine does not say.
std::uint64_t resident_memory();

}  // namespace anamnesis::train
