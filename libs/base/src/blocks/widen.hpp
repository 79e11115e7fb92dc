// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <span>

#include "anamnesis/base/dtype.hpp"

namespace anamnesis {

/// Values of whole blocks as float64, and blocks of such values by way of float32.
void widen_blocks(DType dtype, std::span<const std::byte> source, std::span<double> target);
void narrow_to_blocks(DType dtype, std::span<const double> source, std::span<std::byte> target);

}  // namespace anamnesis
