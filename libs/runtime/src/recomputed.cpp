// SPDX-License-Identifier: Apache-2.0
#include "recomputed.hpp"

#include <functional>
#include <utility>

#include <ATen/core/grad_mode.h>
#include <ATen/core/ivalue.h>
#include <ATen/ops/empty.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/custom_class.h>

namespace anamnesis::runtime {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;

using Body = std::function<at::Tensor(const at::Tensor&, const at::Tensor&)>;

struct KeptBody : torch::CustomClassHolder {
    explicit KeptBody(Body body) : run(std::move(body)) {}
    Body run;
};

/// An input with a graph of its own.
at::Tensor fresh(const at::Tensor& x) {
    return x.detach().requires_grad_(true);
}

struct Recomputed : Function<Recomputed> {
    static at::Tensor forward(AutogradContext* context,
                              const at::Tensor& x,
                              const at::Tensor& beside,
                              const Body& body) {
        context->save_for_backward({x, beside});
        context->saved_data["body"] =
            c10::IValue::make_capsule(c10::make_intrusive<KeptBody>(body));
        // With gradients: operators that have another path without must take the same one twice.
        const at::AutoGradMode records(true);
        return body(fresh(x), fresh(beside)).detach();
    }

    static variable_list backward(AutogradContext* context, const variable_list& gradients) {
        const variable_list saved = context->get_saved_variables();
        const at::Tensor x = fresh(saved[0]);
        const at::Tensor beside = fresh(saved[1]);
        const auto kept = context->saved_data["body"].toCapsule();
        const at::AutoGradMode records(true);
        const at::Tensor y = static_cast<const KeptBody&>(*kept).run(x, beside);
        torch::autograd::backward({y}, {gradients.front()});
        return {x.grad(), beside.grad(), at::Tensor()};
    }
};

}  // namespace

at::Tensor recomputed(const at::Tensor& x, const at::Tensor& beside, const Body& body) {
    if (!x.requires_grad() || !at::GradMode::is_enabled()) {
        return body(x, beside);
    }
    if (beside.defined()) {
        return Recomputed::apply(x, beside, body);
    }
    // A node of the graph takes no undefined input; nothing flows through this one.
    return Recomputed::apply(x, at::empty({0}, x.options()), [body](const auto& y, const auto&) {
        return body(y, at::Tensor());
    });
}

}  // namespace anamnesis::runtime
