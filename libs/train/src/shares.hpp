// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "anamnesis/train/batch.hpp"

namespace anamnesis::train {

/// What one of `count` processes takes of a step's batches: its part of the rows, and of several
/// batches of one row each (packed ones) its part of those. Every row goes to one process.
std::vector<Batch> take_share(std::span<const Batch> batches, std::size_t rank, std::size_t count);

}  // namespace anamnesis::train
