// SPDX-License-Identifier: Apache-2.0
#include "mixers/mamba1.hpp"

#include <cstdint>
#include <span>

#include <ATen/ops/softplus.h>

#include "anamnesis/checkpoint/tensor_roles.hpp"

#include "convolution.hpp"
#include "recurrent_parts.hpp"
#include "selective_scan.hpp"

namespace anamnesis::runtime {

namespace role = checkpoint::role;

Mamba1Layer load_mixer(const checkpoint::Mamba1Spec& spec, const LayerWeights& weights) {
    Mamba1Layer layer{.spec = spec,
                      .in_proj = weights.linear(role::input_projection),
                      .kernel = weights.tensor(role::kernel),
                      .x_proj = weights.linear(role::scan_inputs),
                      .dt_proj = weights.linear(role::step),
                      .log_rate = weights.tensor(role::log_rate),
                      .skip = weights.tensor(role::skip),
                      .out_proj = weights.linear(role::output)};
    if (spec.has_conv_bias) {
        layer.kernel_bias = weights.tensor(role::kernel_bias);
    }
    if (spec.has_inner_norms) {
        layer.dt_norm = weights.norm(role::step_norm, spec.norm_eps);
        layer.b_norm = weights.norm(role::b_norm, spec.norm_eps);
        layer.c_norm = weights.norm(role::c_norm, spec.norm_eps);
    }
    return layer;
}

at::Tensor mix(const Mamba1Layer& layer,
               const at::Tensor& x,
               const Call& call,
               std::span<LayerState* const> states) {
    const checkpoint::Mamba1Spec& spec = layer.spec;
    const at::Tensor projected = apply(layer.in_proj, x);
    const ConvolutionResult convolved = convolve(projected.narrow(-1, 0, spec.channels),
                                                 layer.kernel.squeeze(1),
                                                 gather(states, &LayerState::past),
                                                 layer.kernel_bias);
    scatter(convolved.past, states, &LayerState::past);
    const at::Tensor input = activated(convolved.output);
    const at::Tensor parts = apply(layer.x_proj, input);
    const auto part = [&](std::int64_t first, std::int64_t width, const RmsNorm& norm) {
        const at::Tensor rows = parts.narrow(-1, first, width);
        return norm.is_defined() ? apply(norm, rows) : rows;
    };
    const std::int64_t states_from = spec.step_rank;
    const std::int64_t width = spec.state_size;
    const SelectiveScanResult result = run_selective_scan(
        {.x = input,
         .step = at::softplus(
             apply(layer.dt_proj, part(0, spec.step_rank, layer.dt_norm).contiguous())),
         .b = part(states_from, width, layer.b_norm),
         .c = part(states_from + width, width, layer.c_norm),
         .log_rate = layer.log_rate,
         .skip = layer.skip,
         .state = gather(states, &LayerState::recurrent)});
    scatter(result.state, states, &LayerState::recurrent);
    const at::Tensor z =
        call.take_wanted(projected.narrow(-1, spec.channels, spec.channels)).contiguous();
    return apply(layer.out_proj, swiglu(z, call.take_wanted(result.output)));
}

LayerState make_state(const Mamba1Layer& /*layer*/, const CacheOptions& /*options*/) {
    return {};
}

std::uint64_t count_kept_values(const Mamba1Layer& layer) {
    const checkpoint::Mamba1Spec& spec = layer.spec;
    return 14 * std::uint64_t{spec.channels} + 6 * std::uint64_t{spec.state_size} +
           3 * std::uint64_t{spec.step_rank} +
           std::uint64_t{spec.channels} * spec.state_size / recurrence_chunk;
}

}  // namespace anamnesis::runtime
