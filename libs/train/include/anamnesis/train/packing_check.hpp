// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "anamnesis/runtime/torch.hpp"

#include <cstdint>
#include <functional>
#include <span>

#include "anamnesis/runtime/network.hpp"
#include "anamnesis/train/batch.hpp"

namespace anamnesis::train {

/// Hidden states of a packed row: [1, T] and the boundaries to [1, T, d].
using PackedForward =
    std::function<at::Tensor(const at::Tensor& ids, std::span<const std::int64_t> boundaries)>;

/// Holds the first two samples of a packed row against each of them alone. A trainer that lets
/// them see each other learns to ignore what is far away, which looks like amnesia.
/// Errors: `internal`, with the difference, where it is above 1e-4 of the size.
void check_packing(const runtime::Network& network,
                   const Batch& packed,
                   const PackedForward& forward);

/// The same for what training uses, `Network::forward_packed`.
void check_packing(const runtime::Network& network, const Batch& packed);

}  // namespace anamnesis::train
