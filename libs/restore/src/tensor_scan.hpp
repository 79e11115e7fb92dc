// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/restore/apply.hpp"
#include "anamnesis/restore/doctor.hpp"

namespace anamnesis::restore {

/// Reads every tensor once.
std::vector<TensorHealth> scan_tensors(const checkpoint::Checkpoint& checkpoint,
                                       const Execution& execution);

}  // namespace anamnesis::restore
