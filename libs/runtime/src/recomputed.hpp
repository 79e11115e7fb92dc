// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "anamnesis/runtime/torch.hpp"

#include <functional>

namespace anamnesis::runtime {

/// body(x, beside), of whose graph these two alone are kept: the backward pass runs `body` again.
/// `beside` may be undefined. Gradients are the same, bit for bit; those of weights that `body`
/// reads go to their `grad` as always. `body` is kept until then. Where x asks for no gradient
/// there is nothing to hang the graph on, and `body` runs as it is. Source: Chen et al. 2016, arXiv
/// 1604.06174.
at::Tensor recomputed(
    const at::Tensor& x,
    const at::Tensor& beside,
    const std::function<at::Tensor(const at::Tensor& x, const at::Tensor& beside)>& body);

}  // namespace anamnesis::runtime
