// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/model.hpp"

#include "tensor_names.hpp"

namespace anamnesis::checkpoint {

/// Adds what names, types and shapes say of weights whatever the family: weights that are stored
/// twice, 8-bit floats without scale, scales without weight, a quantization_config that does not
/// fit the weights, and tensors that the sisters of a layer have.
void find_weight_faults(const Checkpoint& checkpoint, const TensorNames& names, Model& model);

}  // namespace anamnesis::checkpoint
