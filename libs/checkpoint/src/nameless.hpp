// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>

#include "anamnesis/checkpoint/blueprint.hpp"

#include "tensor_names.hpp"

namespace anamnesis::checkpoint {

/// The blueprint of a checkpoint without config.json, from `family` or from its tensor names; heads
/// from the length of QK-norm gains where there are any.
/// Errors: `unsupported` where names and shapes do not tell enough.
Blueprint blueprint_without_config(const TensorNames& names,
                                   const std::optional<std::string>& family);

}  // namespace anamnesis::checkpoint
