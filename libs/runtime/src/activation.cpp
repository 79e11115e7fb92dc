// SPDX-License-Identifier: Apache-2.0
#include "activation.hpp"

#include <ATen/ops/gelu.h>
#include <ATen/ops/relu.h>

#include "norm.hpp"

namespace anamnesis::runtime {

at::Tensor activate(checkpoint::Activation activation, const at::Tensor& x) {
    using checkpoint::Activation;
    switch (activation) {
        case Activation::silu:
            return activated(x);
        case Activation::gelu:
            return at::gelu(x);
        case Activation::gelu_tanh:
            return at::gelu(x, "tanh");
        case Activation::squared_relu:
            return at::relu(x).square();
        case Activation::clamped_swiglu:
            break;
    }
    return x;
}

}  // namespace anamnesis::runtime
