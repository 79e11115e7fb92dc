// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "anamnesis/base/json.hpp"
#include "anamnesis/checkpoint/model.hpp"

#include "tensor_names.hpp"

namespace anamnesis::checkpoint {

struct TensorFacts {
    const TensorNames& names;
    const Json& config;  ///< may be null
    bool has_draft_head = false;
};

/// The tensor of token embeddings, under any of its names; null where there is none.
const TensorEntry* find_embedding(const TensorNames& names);

/// Fills in sizes and tying of a model whose blueprint is known, and adds its warnings.
void complete_from_tensors(Model& model, const TensorFacts& facts);

}  // namespace anamnesis::checkpoint
