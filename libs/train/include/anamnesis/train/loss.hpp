// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "anamnesis/runtime/torch.hpp"

#include <cstdint>
#include <span>

#include "anamnesis/runtime/network.hpp"
#include "anamnesis/train/batch.hpp"

namespace anamnesis::train {

/// What the predictions of batches weigh together.
struct Supervision {
    std::uint64_t predictions = 0;
    double weight = 0.0;
};

/// Errors: `malformed` for an id or label outside the vocabulary, naming place and value.
Supervision count_supervision(const Batch& batch, std::uint32_t vocabulary);

/// The weighted sum of the cross-entropies of a batch; differentiable. Logits are made for
/// supervised positions only. Undefined where there are none.
at::Tensor summed_loss(const runtime::Network& network, const Batch& batch);

}  // namespace anamnesis::train
