// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "anamnesis/base/shape.hpp"

namespace anamnesis::checkpoint {

/// True where every size of `planned` is 0 or that of `stored`.
bool fits_shape(const Shape& planned, const Shape& stored);

/// "[8, any]"
std::string describe_shape(const Shape& planned);

}  // namespace anamnesis::checkpoint
