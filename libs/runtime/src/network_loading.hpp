// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "anamnesis/runtime/torch.hpp"

#include <string>
#include <vector>

#include "anamnesis/runtime/model_spec.hpp"

#include "layer.hpp"
#include "weights.hpp"

namespace anamnesis::runtime {

/// Takes the tensors of one layer. `rotaries` collects the distinct rotary encodings.
Layer load_layer(const ModelSpec& spec,
                 std::size_t index,
                 Weights& weights,
                 std::vector<RotarySpec>& rotaries);

}  // namespace anamnesis::runtime
