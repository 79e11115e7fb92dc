// SPDX-License-Identifier: Apache-2.0
#include <cstddef>
#include <cstdint>
#include <tuple>
#include <vector>

#include <ATen/ops/cat.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/sigmoid.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/topk.h>
#include <ATen/ops/zeros_like.h>

#include "layer.hpp"
#include "linear.hpp"
#include "norm.hpp"

namespace anamnesis::runtime {

namespace {

/// True where all of an MLP is computed in bfloat16: not in float16, whose range is small.
bool runs_in_bf16(const DenseMlp& mlp, const at::Tensor& x) {
    const auto is_bf16 = [](const Linear& linear) {
        return linear.weight.scalar_type() == at::kBFloat16 && !linear.bias.defined() &&
               !records_gradients(linear.weight);
    };
    if (x.is_cpu()) {
        return multiplies_in_bf16(mlp.gate_proj, x) && multiplies_in_bf16(mlp.up_proj, x) &&
               mlp.down_proj.weight.scalar_type() == at::kBFloat16 &&
               !records_gradients(mlp.down_proj.weight);
    }
    return x.scalar_type() == at::kFloat && !records_gradients(x) && is_bf16(mlp.gate_proj) &&
           is_bf16(mlp.up_proj) && is_bf16(mlp.down_proj);
}

}  // namespace

at::Tensor apply(const DenseMlp& mlp, const at::Tensor& x) {
    const LinearInput input(x);
    if (runs_in_bf16(mlp, x)) {
        // What lies between is rounded to bfloat16 as it is, before the last product.
        const at::Tensor& rounded = input.as(at::kBFloat16);
        const at::Tensor gate = at::linear(rounded, mlp.gate_proj.weight);
        const at::Tensor up = at::linear(rounded, mlp.up_proj.weight);
        return narrow_product(mlp.down_proj.weight, swiglu(gate, up), x.scalar_type());
    }
    const auto [gate, up] = apply_each(input, mlp.gate_proj, mlp.up_proj);
    return apply(mlp.down_proj, swiglu(gate, up));
}

at::Tensor apply(const MixtureMlp& mlp, const at::Tensor& x) {
    const at::Tensor tokens = x.reshape({-1, x.size(-1)});
    const at::Tensor chances = at::softmax(apply(mlp.router, tokens), -1);
    auto [weights, chosen] = at::topk(chances, mlp.spec.experts_per_token, -1);
    if (mlp.spec.is_renormalised) {
        weights = weights / weights.sum(-1, /*keepdim=*/true);
    }
    // Where each expert is wanted: positions in the flat list of choices.
    const at::Tensor choices = chosen.to(at::kCPU).contiguous();
    std::vector<std::vector<std::int64_t>> wanted(mlp.experts.size());
    const auto* experts = choices.const_data_ptr<std::int64_t>();
    for (std::int64_t i = 0; i < choices.numel(); ++i) {
        wanted[static_cast<std::size_t>(experts[i])].push_back(i);
    }
    const at::Tensor flat_weights = weights.reshape({-1, 1});
    at::Tensor y = at::sigmoid(apply(mlp.shared_gate, tokens)) * apply(mlp.shared, tokens);
    for (std::size_t e = 0; e < wanted.size(); ++e) {
        if (wanted[e].empty()) {
            continue;
        }
        const at::Tensor at_choices = at::tensor(wanted[e], at::kLong).to(x.device());
        const at::Tensor at_tokens =
            at_choices.floor_divide(static_cast<std::int64_t>(mlp.spec.experts_per_token));
        y = y.index_add(0,
                        at_tokens,
                        apply(mlp.experts[e], tokens.index_select(0, at_tokens)) *
                            flat_weights.index_select(0, at_choices));
    }
    return y.view(x.sizes());
}

}  // namespace anamnesis::runtime
