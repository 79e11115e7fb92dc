// SPDX-License-Identifier: Apache-2.0
#include "feed_forwards/expert_stacks.hpp"

#include <array>
#include <cmath>
#include <cstdint>
#include <string_view>
#include <vector>

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <c10/util/BFloat16.h>

#include "anamnesis/base/error.hpp"

namespace anamnesis::runtime {
namespace {

namespace role = checkpoint::role;
using checkpoint::MixtureSpec;

/// A matrix as kernels read it; one that is trained stays a view, which follows its tensor.
at::Tensor laid_out(const at::Tensor& matrix) {
    return matrix.requires_grad() ? matrix : matrix.contiguous();
}

/// Values of the codes of FP4 (E2M1) without their sign.
constexpr std::array<float, 8> fp4_values{0.0F, 0.5F, 1.0F, 1.5F, 2.0F, 3.0F, 4.0F, 6.0F};

float decode_fp4(unsigned code) {
    const float magnitude = fp4_values[code & 7U];
    return (code & 8U) != 0 ? -magnitude : magnitude;
}

/// Shapes: blocks [experts, outputs, groups, 16], scales [experts, outputs, groups], bytes ->
/// [experts, outputs, 32 groups] bfloat16, exactly.
at::Tensor decode_mxfp4(const at::Tensor& blocks, const at::Tensor& scales) {
    constexpr std::int64_t bytes_per_group = 16;
    constexpr int scale_bias = 127;
    at::Tensor values = at::empty({blocks.size(0), blocks.size(1), 32 * blocks.size(2)},
                                  at::TensorOptions().dtype(at::kBFloat16));
    const auto* codes = blocks.const_data_ptr<std::uint8_t>();
    const auto* exponents = scales.const_data_ptr<std::uint8_t>();
    auto* target = values.mutable_data_ptr<c10::BFloat16>();
    at::parallel_for(0, scales.numel(), 1024, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t group = begin; group < end; ++group) {
            const int exponent = static_cast<int>(exponents[group]) - scale_bias;
            for (std::int64_t i = 0; i < bytes_per_group; ++i) {
                const unsigned byte = codes[group * bytes_per_group + i];
                c10::BFloat16* pair = target + 2 * (group * bytes_per_group + i);
                pair[0] = std::ldexp(decode_fp4(byte & 15U), exponent);
                pair[1] = std::ldexp(decode_fp4(byte >> 4U), exponent);
            }
        }
    });
    return values;
}

/// A stack as [experts, outputs, inputs], whichever way it is stored.
at::Tensor load_stack(std::string_view stack, const LayerWeights& weights) {
    const std::string blocks = role::to_blocks_role(stack);
    if (!weights.has(blocks)) {
        return weights.tensor(stack).transpose(1, 2);
    }
    return weights.as_weight(
        decode_mxfp4(weights.bytes(blocks), weights.bytes(role::to_scales_role(stack))));
}

/// The rows `first`, `first + step`, ... of one expert.
Linear take_rows(const at::Tensor& stack,
                 const at::Tensor& biases,
                 std::int64_t expert,
                 std::int64_t first,
                 std::int64_t step) {
    return {.weight = laid_out(stack.select(0, expert).slice(0, first, std::nullopt, step)),
            .bias = laid_out(biases.select(0, expert).slice(0, first, std::nullopt, step))};
}

}  // namespace

std::vector<DenseFeedForward> load_stacked_experts(const MixtureSpec& spec,
                                                   const LayerWeights& weights) {
    const bool is_gated = spec.expert.is_gated;
    const at::Tensor first = weights.tensor(is_gated ? role::experts_gate_up : role::experts_up);
    const at::Tensor down = weights.tensor(role::experts_down);
    std::vector<DenseFeedForward> experts;
    for (std::int64_t e = 0; e < spec.experts; ++e) {
        const Linear in{.weight = first.select(0, e)};
        const Linear out{.weight = down.select(0, e)};
        experts.push_back(
            is_gated ? split_gate_up(spec.expert, in, out)
                     : DenseFeedForward{.spec = spec.expert, .up_proj = in, .down_proj = out});
    }
    return experts;
}

std::vector<DenseFeedForward> load_transposed_experts(const MixtureSpec& spec,
                                                      const LayerWeights& weights) {
    const at::Tensor gate_up = load_stack(role::experts_gate_up, weights);
    const at::Tensor down = load_stack(role::experts_down, weights);
    const at::Tensor biases = weights.tensor(role::to_bias_role(role::experts_gate_up));
    const at::Tensor down_biases = weights.tensor(role::to_bias_role(role::experts_down));
    std::vector<DenseFeedForward> experts;
    for (std::int64_t e = 0; e < spec.experts; ++e) {
        experts.push_back({.spec = spec.expert,
                           .gate_proj = take_rows(gate_up, biases, e, 0, 2),
                           .up_proj = take_rows(gate_up, biases, e, 1, 2),
                           .down_proj = take_rows(down, down_biases, e, 0, 1)});
    }
    return experts;
}

}  // namespace anamnesis::runtime
