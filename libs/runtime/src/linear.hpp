// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "anamnesis/runtime/torch.hpp"

namespace anamnesis::runtime {

/// y = x W^T + b.
struct Linear {
    at::Tensor weight{};  ///< [outputs, inputs], in the type it is stored in
    at::Tensor bias{};    ///< [outputs] in the type of activations, or undefined

    bool is_defined() const { return weight.defined(); }
};

/// Shapes: x [..., inputs] -> [..., outputs], in the type of x.
///
/// Weights narrower than x stay as they are: where the device multiplies their type, x is narrowed
/// to it; elsewhere weights are widened block by block, so that memory does not grow. Gradients
/// flow where both types agree.
at::Tensor apply(const Linear& linear, const at::Tensor& x);

}  // namespace anamnesis::runtime
