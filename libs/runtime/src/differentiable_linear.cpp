// SPDX-License-Identifier: Apache-2.0
#include <cstdint>
#include <vector>

#include <ATen/ops/_unsafe_view.h>
#include <torch/csrc/autograd/custom_function.h>

#include "differentiable.hpp"
#include "fast_product.hpp"

namespace anamnesis::runtime::differentiable {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;

at::Tensor as_rows(const at::Tensor& x) {
    return x.reshape({-1, x.size(-1)});
}

/// Products are in the type of `factor`, which is x rounded to what the processor multiplies.
struct Linear : Function<Linear> {
    static at::Tensor forward(AutogradContext* context,
                              const at::Tensor& x,
                              const at::Tensor& factor,
                              const at::Tensor& weight) {
        context->save_for_backward({factor, weight});
        std::vector<std::int64_t> sizes = x.sizes().vec();
        sizes.back() = weight.size(0);
        const at::Tensor y = fast_product(as_rows(factor), weight.to(factor.scalar_type()));
        // Not a view: the residual stream is added to it in place.
        return at::_unsafe_view(y.to(x.scalar_type()), sizes);
    }

    static variable_list backward(AutogradContext* context, const variable_list& gradients) {
        const variable_list saved = context->get_saved_variables();
        const at::Tensor& factor = saved[0];
        const at::Tensor& weight = saved[1];
        const at::Tensor& gradient = gradients.front();
        const at::Tensor d_y = as_rows(gradient).to(factor.scalar_type()).contiguous();
        variable_list all(3);
        if (context->needs_input_grad(0)) {
            all[0] = fast_product(d_y, weight.to(factor.scalar_type()).t())
                         .view(factor.sizes())
                         .to(gradient.scalar_type());
        }
        if (context->needs_input_grad(2)) {
            all[2] = fast_product(d_y.t(), as_rows(factor).t()).to(weight.scalar_type());
        }
        return all;
    }
};

}  // namespace

at::Tensor linear(const LinearFactor& input, const at::Tensor& weight, const at::Tensor& bias) {
    const at::Tensor y = Linear::apply(input.x, input.factor, weight);
    return bias.defined() ? y + bias : y;
}

}  // namespace anamnesis::runtime::differentiable
