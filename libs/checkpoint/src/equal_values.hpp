// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "anamnesis/checkpoint/checkpoint.hpp"

namespace anamnesis::checkpoint {

/// Whether a tensor holds the values of another of its shape, rounded to its own type. Reads both,
/// a few rows at a time.
bool have_equal_values(const TensorEntry& copy, const TensorEntry& original);

}  // namespace anamnesis::checkpoint
