// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>

#include "anamnesis/base/json.hpp"
#include "anamnesis/checkpoint/model.hpp"

#include "tensor_names.hpp"

namespace anamnesis::checkpoint {

struct TensorFacts {
    const TensorNames& names;
    const Json& config;  ///< may be null
    std::optional<bool> is_tied_by_default{};
    bool has_draft_head = false;
};

/// Fills in sizes and tying of a model whose family and layers are known, and adds its warnings.
void complete_from_tensors(Model& model, const TensorFacts& facts);

}  // namespace anamnesis::checkpoint
