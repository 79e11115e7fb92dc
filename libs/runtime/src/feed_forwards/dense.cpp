// SPDX-License-Identifier: Apache-2.0
#include "feed_forwards/dense.hpp"

#include <cstdint>

#include <ATen/ops/clamp.h>
#include <ATen/ops/clamp_max.h>
#include <ATen/ops/gelu.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/relu.h>
#include <ATen/ops/sigmoid.h>

#include "norm.hpp"

namespace anamnesis::runtime {

namespace role = checkpoint::role;

namespace {

using checkpoint::Activation;

/// True where all of a feed-forward is computed in bfloat16: not in float16, whose range is small.
bool runs_in_bf16(const DenseFeedForward& dense, const at::Tensor& x) {
    if (!dense.spec.is_gated || dense.spec.activation != Activation::silu ||
        dense.spec.gate_scale != 1.0 || dense.adapter.is_defined() ||
        !dense.gate_proj.is_product() || !dense.up_proj.is_product() ||
        !dense.down_proj.is_product()) {
        return false;
    }
    const auto is_bf16 = [](const Linear& linear) {
        return linear.weight.defined() && linear.weight.scalar_type() == at::kBFloat16 &&
               !records_gradients(linear.weight);
    };
    if (x.is_cpu()) {
        return multiplies_in_bf16(dense.gate_proj, x) && multiplies_in_bf16(dense.up_proj, x) &&
               is_bf16(dense.down_proj);
    }
    return x.scalar_type() == at::kFloat && !records_gradients(x) && is_bf16(dense.gate_proj) &&
           is_bf16(dense.up_proj) && is_bf16(dense.down_proj);
}

at::Tensor activate(const checkpoint::DenseSpec& spec, const at::Tensor& x) {
    switch (spec.activation) {
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

/// What the last matrix reads, of a feed-forward with a gate.
at::Tensor combine(const checkpoint::DenseSpec& spec,
                   const at::Tensor& gate,
                   const at::Tensor& up) {
    if (spec.activation == Activation::clamped_swiglu) {
        const at::Tensor g = at::clamp_max(gate, spec.limit);
        const at::Tensor u = at::clamp(up, -spec.limit, spec.limit);
        return (u + 1.0) * g * at::sigmoid(g * spec.alpha);
    }
    const at::Tensor scaled = spec.gate_scale == 1.0 ? gate : gate * spec.gate_scale;
    return spec.activation == Activation::silu ? swiglu(scaled, up) : activate(spec, scaled) * up;
}

at::Tensor scaled_output(const checkpoint::DenseSpec& spec, const at::Tensor& y) {
    return spec.output_scale == 1.0 ? y : y * spec.output_scale;
}

}  // namespace

DenseFeedForward split_gate_up(const checkpoint::DenseSpec& spec,
                               const Linear& gate_up,
                               const Linear& down) {
    return {.spec = spec,
            .gate_proj = gate_up.narrow(0, spec.width),
            .up_proj = gate_up.narrow(spec.width, spec.width),
            .down_proj = down};
}

DenseFeedForward load_feed_forward(const checkpoint::DenseSpec& spec, const LayerWeights& weights) {
    if (spec.is_gated && spec.is_fused) {
        return split_gate_up(spec, weights.linear(role::gate_up), weights.linear(role::down));
    }
    return {.spec = spec,
            .gate_proj = spec.is_gated ? weights.linear(role::gate) : Linear(),
            .up_proj = weights.linear(role::up),
            .down_proj = weights.linear(role::down)};
}

at::Tensor apply(const DenseFeedForward& dense, const at::Tensor& x, const Call& call) {
    call.tell_input(dense.spec.is_gated ? role::gate : role::up, x);
    const LinearInput input(x);
    if (runs_in_bf16(dense, x)) {
        // What lies between is rounded to bfloat16 as it is, before the last product.
        const at::Tensor& rounded = input.as(at::kBFloat16);
        const at::Tensor gate = at::linear(rounded, dense.gate_proj.weight);
        const at::Tensor up = at::linear(rounded, dense.up_proj.weight);
        const at::Tensor inner = swiglu(gate, up);
        call.tell_input(role::down, inner);
        return scaled_output(dense.spec,
                             narrow_product(dense.down_proj.weight, inner, x.scalar_type()));
    }
    auto [gate, up] = apply_each(input, dense.gate_proj, dense.up_proj);
    if (dense.adapter.is_defined()) {
        const at::Tensor both = apply(dense.adapter.output, apply(dense.adapter.input, input));
        gate = gate + both.narrow(-1, 0, dense.spec.width);
        up = up + both.narrow(-1, dense.spec.width, dense.spec.width);
    }
    const at::Tensor inner =
        dense.spec.is_gated ? combine(dense.spec, gate, up) : activate(dense.spec, up);
    call.tell_input(role::down, inner);
    return scaled_output(dense.spec, apply(dense.down_proj, inner));
}

std::uint64_t count_kept_values(const DenseFeedForward& dense) {
    return (dense.spec.is_gated ? 3 : 2) * std::uint64_t{dense.spec.width};
}

}  // namespace anamnesis::runtime
