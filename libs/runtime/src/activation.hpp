// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "anamnesis/runtime/torch.hpp"

#include "anamnesis/checkpoint/feed_forwards/dense.hpp"

namespace anamnesis::runtime {

/// The activation of each value, for those that are functions of one value. `x` may be overwritten
/// where no gradient is recorded.
at::Tensor activate(checkpoint::Activation activation, const at::Tensor& x);

}  // namespace anamnesis::runtime
