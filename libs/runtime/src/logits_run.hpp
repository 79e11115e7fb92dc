// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "anamnesis/runtime/torch.hpp"

#include <vector>

#include "anamnesis/runtime/hybrid_model.hpp"
#include "anamnesis/runtime/network.hpp"

namespace anamnesis::runtime {

/// `HybridModel::logits` of a request whose ids are in the vocabulary and make texts of one length.
std::vector<NamedArray> run_logits(const Network& network, const LogitsRequest& request);

}  // namespace anamnesis::runtime
