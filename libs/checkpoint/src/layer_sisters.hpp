// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "anamnesis/checkpoint/model.hpp"

#include "tensor_names.hpp"

namespace anamnesis::checkpoint {

/// For families whose plan does not list every tensor: adds the tensors that a module lacks and
/// most modules of its name in other layers have, where it has no others in their place; and the
/// final norm and the embedding where there are none.
void find_missing_sisters(const TensorNames& names, Model& model);

}  // namespace anamnesis::checkpoint
