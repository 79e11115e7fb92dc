// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "anamnesis/runtime/torch.hpp"

#include "anamnesis/checkpoint/checkpoint.hpp"

namespace anamnesis::calibration {

/// A whole tensor in float64.
at::Tensor read_values(const checkpoint::TensorEntry& entry);

}  // namespace anamnesis::calibration
