// SPDX-License-Identifier: Apache-2.0
#include "mixers/rg_lru.hpp"

#include <cstdint>
#include <span>
#include <vector>

#include <ATen/ops/bmm.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/exp.h>
#include <ATen/ops/expm1.h>
#include <ATen/ops/sigmoid.h>
#include <ATen/ops/softplus.h>
#include <ATen/ops/sqrt.h>
#include <torch/csrc/autograd/custom_function.h>

#include "anamnesis/checkpoint/tensor_roles.hpp"

#include "activation.hpp"
#include "convolution.hpp"
#include "linear_scan.hpp"
#include "recurrent_parts.hpp"
#include "rotary.hpp"

namespace anamnesis::runtime {

namespace role = checkpoint::role;

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

/// A square root whose slope is at most 1000: a decay of nearly one has a finite gradient.
/// Source: transformers 5.24, modeling_recurrent_gemma.py, SqrtBoundDerivative.
struct BoundedSqrt : torch::autograd::Function<BoundedSqrt> {
    static at::Tensor forward(AutogradContext* context, const at::Tensor& x) {
        context->save_for_backward({x});
        return at::sqrt(x);
    }

    static variable_list backward(AutogradContext* context, const variable_list& gradients) {
        constexpr double greatest_slope = 1000.0;
        const at::Tensor x = context->get_saved_variables().front();
        return {gradients.front() *
                (4.0 * x).clamp_min(1.0 / (greatest_slope * greatest_slope)).rsqrt()};
    }
};

/// Each head of channels through a matrix of its own, then a sigmoid.
/// Shapes: x [B, T, C], weight [heads, C / heads, C / heads], bias [heads, C / heads].
at::Tensor make_gate(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
    const at::Tensor by_head = x.reshape({-1, weight.size(0), weight.size(1)}).transpose(0, 1);
    const at::Tensor products = at::bmm(by_head, weight) + bias.unsqueeze(1);
    return at::sigmoid(products.transpose(0, 1).reshape(x.sizes()));
}

/// The same of sequences by themselves: a product of many rows is summed in another order than one
/// of few, and an answer has the same bits in any company.
at::Tensor make_gate_of_each(const at::Tensor& x,
                             const at::Tensor& weight,
                             const at::Tensor& bias) {
    std::vector<at::Tensor> gates;
    for (const at::Tensor& sequence : x.split(1)) {
        gates.push_back(make_gate(sequence, weight, bias));
    }
    return gates.size() == 1 ? gates.front() : at::cat(gates);
}

/// The unit itself; it moves the states on.
/// Source: De et al. 2024, "Griffin", section 2.4, with c = 8.
at::Tensor recur(const RgLruLayer& layer,
                 const at::Tensor& x,
                 const Call& call,
                 std::span<LayerState* const> states) {
    constexpr double sharpness = 8.0;
    const auto gate = states.empty() ? make_gate : make_gate_of_each;
    const at::Tensor input = x * gate(x, layer.input_gate, layer.input_gate_bias);
    const at::Tensor log_decay = gate(x, layer.decay_gate, layer.decay_gate_bias) *
                                 (at::softplus(layer.decay_rate) * -sharpness);
    const at::Tensor share = BoundedSqrt::apply(-at::expm1(2.0 * log_decay));
    // Nothing comes before the first token, which enters as it is.
    const at::Tensor is_first =
        positions_from(call.starts, x.size(1), x.device()).eq(0).unsqueeze(-1);
    const LinearScanResult result =
        run_linear_scan({.decay = at::exp(log_decay),
                         .added = input * share.masked_fill(is_first, 1.0),
                         .state = gather(states, &LayerState::recurrent)});
    scatter(result.state, states, &LayerState::recurrent);
    return result.output;
}

}  // namespace

RgLruLayer load_mixer(const checkpoint::RgLruSpec& spec, const LayerWeights& weights) {
    return {.spec = spec,
            .branch = weights.linear(role::branch),
            .input = weights.linear(role::recurrent_input),
            .kernel = weights.tensor(role::kernel),
            .kernel_bias = weights.tensor(role::kernel_bias),
            .decay_rate = weights.tensor(role::decay_rate),
            .input_gate = weights.tensor(role::input_gate),
            .input_gate_bias = weights.tensor(role::input_gate_bias),
            .decay_gate = weights.tensor(role::decay_gate),
            .decay_gate_bias = weights.tensor(role::decay_gate_bias),
            .output = weights.linear(role::output)};
}

at::Tensor mix(const RgLruLayer& layer,
               const at::Tensor& x,
               const Call& call,
               std::span<LayerState* const> states) {
    const auto [branch, input] = apply_each(x, layer.branch, layer.input);
    const ConvolutionResult convolved = convolve(
        input, layer.kernel.squeeze(1), gather(states, &LayerState::past), layer.kernel_bias);
    scatter(convolved.past, states, &LayerState::past);
    const at::Tensor recurred = recur(layer, convolved.output, call, states);
    return apply(
        layer.output,
        call.take_wanted(recurred) * activate(layer.spec.activation, call.take_wanted(branch)));
}

LayerState make_state(const RgLruLayer& /*layer*/, const CacheOptions& /*options*/) {
    return {};
}

std::uint64_t count_kept_values(const RgLruLayer& layer) {
    return 20 * std::uint64_t{layer.spec.channels};
}

}  // namespace anamnesis::runtime
