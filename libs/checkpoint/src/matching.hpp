// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "anamnesis/base/json.hpp"
#include "anamnesis/checkpoint/blueprint.hpp"
#include "anamnesis/checkpoint/model.hpp"

#include "tensor_names.hpp"

namespace anamnesis::checkpoint {

/// A blueprint held against the tensors of a checkpoint.
struct Matching {
    std::vector<AttentionTensor> attention;
    std::vector<std::string> contradictions;  ///< one line each
    std::vector<std::string> missing;         ///< softmax tensors that are absent
    bool has_draft_head = false;
};

/// Errors: `unsupported` for a softmax layer whose weights are packed (GPTQ, AWQ, bitsandbytes…).
Matching match(const Blueprint& blueprint, const TensorNames& names, const Json& config);

}  // namespace anamnesis::checkpoint
