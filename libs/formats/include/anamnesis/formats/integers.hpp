// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

#include "anamnesis/formats/safetensors.hpp"

namespace anamnesis::formats {

/// The values of a tensor of I64 or I32. Errors: those of `File::read_at`.
std::vector<std::int64_t> read_integers(const SafetensorsFile& file, const TensorInfo& tensor);

}  // namespace anamnesis::formats
