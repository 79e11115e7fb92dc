// SPDX-License-Identifier: Apache-2.0
#include <cstddef>
#include <cstdint>
#include <vector>

#include <ATen/Parallel.h>
#include <ATen/ops/_unsafe_view.h>
#include <ATen/ops/empty_like.h>
#include <torch/csrc/autograd/custom_function.h>

#include "cpu_gradients.hpp"
#include "cpu_kernels.hpp"
#include "differentiable.hpp"
#include "fast_product.hpp"
#include "norm.hpp"

namespace anamnesis::runtime::differentiable {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;

const cpu::Bf16* bits(const at::Tensor& x) {
    return static_cast<const cpu::Bf16*>(x.const_data_ptr());
}

cpu::Bf16* target_bits(at::Tensor& x) {
    return static_cast<cpu::Bf16*>(x.mutable_data_ptr());
}

/// Gate and up of a SwiGLU become their gradients; y, what it gives, is made again.
struct SwiGluGradients {
    at::Tensor y{}, gate{}, up{};
};

SwiGluGradients swiglu_backward(const at::Tensor& gate,
                                const at::Tensor& up,
                                const at::Tensor& d_y) {
    SwiGluGradients made{
        .y = at::empty_like(gate), .gate = at::empty_like(gate), .up = at::empty_like(up)};
    const cpu::SwiGluValues from{.gate = bits(gate), .up = bits(up), .d_y = bits(d_y)};
    const cpu::SwiGluTargets to{
        .y = target_bits(made.y), .d_gate = target_bits(made.gate), .d_up = target_bits(made.up)};
    at::parallel_for(0, gate.numel(), 1 << 14, [&](std::int64_t begin, std::int64_t end) {
        cpu::swiglu_backward(
            from, to, static_cast<std::size_t>(begin), static_cast<std::size_t>(end));
    });
    return made;
}

struct SwiGluFeedForward : Function<SwiGluFeedForward> {
    static at::Tensor forward(AutogradContext* context,
                              const at::Tensor& x,
                              const at::Tensor& rounded,
                              const at::Tensor& gate_weight,
                              const at::Tensor& up_weight,
                              const at::Tensor& down_weight) {
        const at::Tensor rows = rounded.reshape({-1, x.size(-1)});
        const at::Tensor gate = fast_product(rows, gate_weight);
        const at::Tensor up = fast_product(rows, up_weight);
        context->save_for_backward({rows, gate, up, gate_weight, up_weight, down_weight});
        const at::Tensor y = fast_product(runtime::swiglu(gate.clone(), up), down_weight);
        std::vector<std::int64_t> sizes = x.sizes().vec();
        sizes.back() = down_weight.size(0);
        // Not a view: the residual stream is added to it in place.
        return at::_unsafe_view(y.to(x.scalar_type()), sizes);
    }

    static variable_list backward(AutogradContext* context, const variable_list& gradients) {
        const variable_list saved = context->get_saved_variables();
        const at::Tensor& rows = saved[0];
        const at::Tensor& gate_weight = saved[3];
        const at::Tensor& up_weight = saved[4];
        const at::Tensor& down_weight = saved[5];
        const at::Tensor& gradient = gradients.front();
        const at::Tensor d_y =
            gradient.reshape({-1, gradient.size(-1)}).to(at::kBFloat16).contiguous();
        const SwiGluGradients inner =
            swiglu_backward(saved[1], saved[2], fast_product(d_y, down_weight.t()));
        variable_list all(5);
        if (context->needs_input_grad(0)) {
            all[0] = fast_product(inner.gate, gate_weight.t())
                         .to(gradient.scalar_type())
                         .add_(fast_product(inner.up, up_weight.t()));
            std::vector<std::int64_t> sizes = gradient.sizes().vec();
            sizes.back() = rows.size(-1);
            all[0] = all[0].view(sizes);
        }
        if (context->needs_input_grad(2)) {
            all[2] = fast_product(inner.gate.t(), rows.t());
        }
        if (context->needs_input_grad(3)) {
            all[3] = fast_product(inner.up.t(), rows.t());
        }
        if (context->needs_input_grad(4)) {
            all[4] = fast_product(d_y.t(), inner.y.t());
        }
        return all;
    }
};

}  // namespace

at::Tensor swiglu_feed_forward(const LinearFactor& input,
                               const at::Tensor& gate_weight,
                               const at::Tensor& up_weight,
                               const at::Tensor& down_weight) {
    return SwiGluFeedForward::apply(input.x, input.factor, gate_weight, up_weight, down_weight);
}

}  // namespace anamnesis::runtime::differentiable
