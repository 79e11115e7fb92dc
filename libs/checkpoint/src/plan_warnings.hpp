// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "anamnesis/checkpoint/blueprint.hpp"
#include "anamnesis/checkpoint/finding.hpp"

#include "tensor_names.hpp"

namespace anamnesis::checkpoint {

/// What a complete blueprint and a checkpoint do not agree on outside softmax attention, embedding
/// and head: tensors of other shapes, missing ones, and ones that nothing uses. Layers without any
/// tensor are not listed.
std::vector<Finding> compare_with_plan(const Blueprint& blueprint, const TensorNames& names);

}  // namespace anamnesis::checkpoint
