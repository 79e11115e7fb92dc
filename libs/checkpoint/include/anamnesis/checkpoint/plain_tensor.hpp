// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "anamnesis/checkpoint/checkpoint.hpp"

namespace anamnesis::checkpoint {

/// A block-quantised tensor as float32, dequantised as it is read; any other as it is.
/// Errors: `unsupported` for types whose values need a codebook.
TensorEntry make_plain(const TensorEntry& tensor);

}  // namespace anamnesis::checkpoint
