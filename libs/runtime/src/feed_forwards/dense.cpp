// SPDX-License-Identifier: Apache-2.0
#include "feed_forwards/dense.hpp"

#include <cstdint>

#include <ATen/ops/linear.h>

#include "norm.hpp"

namespace anamnesis::runtime {

namespace role = checkpoint::role;

namespace {

/// True where all of a feed-forward is computed in bfloat16: not in float16, whose range is small.
bool runs_in_bf16(const DenseFeedForward& dense, const at::Tensor& x) {
    const auto is_bf16 = [](const Linear& linear) {
        return linear.weight.scalar_type() == at::kBFloat16 && !linear.bias.defined() &&
               !records_gradients(linear.weight);
    };
    if (x.is_cpu()) {
        return multiplies_in_bf16(dense.gate_proj, x) && multiplies_in_bf16(dense.up_proj, x) &&
               dense.down_proj.weight.scalar_type() == at::kBFloat16 &&
               !records_gradients(dense.down_proj.weight);
    }
    return x.scalar_type() == at::kFloat && !records_gradients(x) && is_bf16(dense.gate_proj) &&
           is_bf16(dense.up_proj) && is_bf16(dense.down_proj);
}

}  // namespace

DenseFeedForward load_feed_forward(const checkpoint::DenseSpec& /*spec*/,
                                   const LayerWeights& weights) {
    return {.gate_proj = weights.linear(role::gate),
            .up_proj = weights.linear(role::up),
            .down_proj = weights.linear(role::down)};
}

at::Tensor apply(const DenseFeedForward& dense, const at::Tensor& x, const Call& call) {
    call.tell_input(role::gate, x);
    const LinearInput input(x);
    if (runs_in_bf16(dense, x)) {
        // What lies between is rounded to bfloat16 as it is, before the last product.
        const at::Tensor& rounded = input.as(at::kBFloat16);
        const at::Tensor gate = at::linear(rounded, dense.gate_proj.weight);
        const at::Tensor up = at::linear(rounded, dense.up_proj.weight);
        const at::Tensor inner = swiglu(gate, up);
        call.tell_input(role::down, inner);
        return narrow_product(dense.down_proj.weight, inner, x.scalar_type());
    }
    const auto [gate, up] = apply_each(input, dense.gate_proj, dense.up_proj);
    const at::Tensor inner = swiglu(gate, up);
    call.tell_input(role::down, inner);
    return apply(dense.down_proj, inner);
}

std::uint64_t count_kept_values(const DenseFeedForward& dense) {
    return 4 * static_cast<std::uint64_t>(dense.gate_proj.weight.size(0));
}

}  // namespace anamnesis::runtime
