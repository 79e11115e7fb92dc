// SPDX-License-Identifier: Apache-2.0
#include "feed_forwards/dense.hpp"

#include <cstdint>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/clamp.h>
#include <ATen/ops/clamp_max.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/sigmoid.h>

#include "activation.hpp"
#include "bf16_linear.hpp"
#include "cpu_kernels.hpp"
#include "differentiable.hpp"
#include "norm.hpp"

namespace anamnesis::runtime {

namespace role = checkpoint::role;

namespace {

using checkpoint::Activation;

/// True where a gradient is recorded, and in all of the trainer's passes.
bool learns(const DenseFeedForward& dense, const at::Tensor& x) {
    return (at::GradMode::is_enabled() && dense.gate_proj.rounds_in_training) ||
           records_gradients(x) || records_gradients(dense.gate_proj.weight) ||
           records_gradients(dense.up_proj.weight) || records_gradients(dense.down_proj.weight);
}

/// A SwiGLU of three bfloat16 matrices and nothing else.
bool is_bf16_swiglu(const DenseFeedForward& dense) {
    if (!dense.spec.is_gated || dense.spec.activation != Activation::silu ||
        dense.spec.gate_scale != 1.0 || dense.adapter.is_defined() ||
        !dense.gate_proj.is_product() || !dense.up_proj.is_product() ||
        !dense.down_proj.is_product()) {
        return false;
    }
    const auto is_bf16 = [](const Linear& linear) {
        return linear.weight.defined() && linear.weight.scalar_type() == at::kBFloat16;
    };
    return is_bf16(dense.gate_proj) && is_bf16(dense.up_proj) && is_bf16(dense.down_proj);
}

/// True where all of a feed-forward is computed in bfloat16: not in float16, whose range is small.
bool runs_in_bf16(const DenseFeedForward& dense, const at::Tensor& x) {
    if (!is_bf16_swiglu(dense)) {
        return false;
    }
    const bool is_trained = learns(dense, x);
    return x.is_cpu() ? multiplies_in_bf16(dense.gate_proj, x, is_trained)
                      : x.scalar_type() == at::kFloat && !is_trained;
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
    return spec.activation == Activation::silu ? swiglu(scaled, up)
                                               : activate(spec.activation, scaled) * up;
}

/// What the last of three bfloat16 matrices reads: rounded to bfloat16 as it is.
at::Tensor narrow_swiglu(const DenseFeedForward& dense, const at::Tensor& x) {
    const at::Tensor& gate = dense.gate_proj.weight;
    const at::Tensor& up = dense.up_proj.weight;
    return has_bf16_panels(x, gate) && has_bf16_panels(x, up)
               ? panel_swiglu(x, gate, up)
               : swiglu(at::linear(x, gate), at::linear(x, up));
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
    const bool is_narrow = runs_in_bf16(dense, x);
    if (is_narrow && learns(dense, x) && call.inputs == nullptr) {
        return scaled_output(
            dense.spec,
            differentiable::swiglu_feed_forward({.x = x, .factor = input.as(at::kBFloat16)},
                                                dense.gate_proj.weight,
                                                dense.up_proj.weight,
                                                dense.down_proj.weight));
    }
    if (is_narrow && !learns(dense, x)) {
        const at::Tensor inner = narrow_swiglu(dense, input.as(at::kBFloat16));
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
        dense.spec.is_gated ? combine(dense.spec, gate, up) : activate(dense.spec.activation, up);
    call.tell_input(role::down, inner);
    return scaled_output(dense.spec, apply(dense.down_proj, inner));
}

std::uint64_t count_kept_values(const DenseFeedForward& dense) {
    const std::uint64_t width = dense.spec.width;
    if (is_bf16_swiglu(dense) && dense.gate_proj.rounds_in_training &&
        dense.gate_proj.weight.is_cpu() && cpu::has_bf16_products()) {
        return width;  // gate and up, of half the size
    }
    return (dense.spec.is_gated ? 3 : 2) * width;
}

}  // namespace anamnesis::runtime
