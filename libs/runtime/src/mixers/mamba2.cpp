// SPDX-License-Identifier: Apache-2.0
#include "mixers/mamba2.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include <ATen/ops/tensor.h>

#include "anamnesis/checkpoint/tensor_roles.hpp"

#include "convolution.hpp"
#include "mamba2_step.hpp"
#include "recurrent_parts.hpp"
#include "state_space.hpp"

namespace anamnesis::runtime {
namespace {

namespace role = checkpoint::role;

/// How many rows of in_proj are z, x, B, C and dt.
std::array<std::int64_t, 5> find_sections(const checkpoint::Mamba2Spec& spec) {
    const std::int64_t inner = std::int64_t{spec.heads} * spec.head_dim;
    const std::int64_t shared = std::int64_t{spec.groups} * spec.state_size;
    return {inner, inner, shared, shared, spec.heads};
}

at::Tensor make_row_scales(const checkpoint::Mamba2Spec& spec, const LayerWeights& weights) {
    if (!spec.section_scales) {
        return {};
    }
    const auto sections = find_sections(spec);
    std::vector<double> scales;
    for (std::size_t i = 0; i < sections.size(); ++i) {
        scales.insert(
            scales.end(), static_cast<std::size_t>(sections[i]), (*spec.section_scales)[i]);
    }
    return at::tensor(scales, at::kDouble).to(weights.device(), weights.activation_type());
}

}  // namespace

Mamba2Layer load_mixer(const checkpoint::Mamba2Spec& spec, const LayerWeights& weights) {
    Mamba2Layer layer{.spec = spec,
                      .in_proj = weights.linear(role::input_projection),
                      .row_scales = make_row_scales(spec, weights),
                      .kernel = weights.tensor(role::kernel),
                      .dt_bias = weights.tensor(role::step_bias),
                      .log_rate = weights.tensor(role::log_rate),
                      .skip = weights.tensor(role::skip),
                      .out_proj = weights.linear(role::output)};
    if (spec.has_conv_bias) {
        layer.kernel_bias = weights.tensor(role::kernel_bias);
    }
    if (spec.norm != checkpoint::GatedNorm::none) {
        layer.norm = weights.norm(role::output_norm, spec.norm_eps);
    }
    return layer;
}

at::Tensor mix(const Mamba2Layer& layer,
               const at::Tensor& x,
               const Call& call,
               std::span<LayerState* const> states) {
    at::Tensor projected = apply(layer.in_proj, x);
    if (layer.row_scales.defined()) {
        projected = projected * layer.row_scales;
    }
    return apply(layer.out_proj, mix_projected(layer, projected, call, states));
}

at::Tensor mix_projected(const Mamba2Layer& layer,
                         const at::Tensor& projected,
                         const Call& call,
                         std::span<LayerState* const> states) {
    if (can_step_mamba2(projected, states)) {
        return step_mamba2(layer, projected, states);
    }
    const checkpoint::Mamba2Spec& spec = layer.spec;
    const std::int64_t batch = projected.size(0);
    const std::int64_t length = projected.size(1);
    const std::int64_t inner = std::int64_t{spec.heads} * spec.head_dim;
    const std::int64_t shared = std::int64_t{spec.groups} * spec.state_size;
    const ConvolutionResult convolved = convolve(projected.narrow(-1, inner, inner + 2 * shared),
                                                 layer.kernel.squeeze(1),
                                                 gather(states, &LayerState::past),
                                                 layer.kernel_bias);
    scatter(convolved.past, states, &LayerState::past);
    const at::Tensor mixed = activated(convolved.output);
    const auto part = [&](std::int64_t first, std::int64_t count, std::int64_t width) {
        return mixed.narrow(-1, first, count * width).reshape({batch, length, count, width});
    };
    const StateSpaceResult result = run_state_space(
        {.x = part(0, spec.heads, spec.head_dim),
         .step = make_steps(
             projected.narrow(-1, 2 * inner + 2 * shared, spec.heads), layer.dt_bias, spec),
         .b = part(inner, spec.groups, spec.state_size),
         .c = part(inner + shared, spec.groups, spec.state_size),
         .log_rate = layer.log_rate,
         .skip = layer.skip,
         .state = gather(states, &LayerState::recurrent)});
    scatter(result.state, states, &LayerState::recurrent);
    return apply_gated_norm(layer.norm,
                            call.take_wanted(result.output.reshape({batch, length, inner})),
                            call.take_wanted(projected.narrow(-1, 0, inner)).contiguous(),
                            spec);
}

LayerState make_state(const Mamba2Layer& /*layer*/, const CacheOptions& /*options*/) {
    return {};
}

std::uint64_t count_kept_values(const Mamba2Layer& layer) {
    const checkpoint::Mamba2Spec& spec = layer.spec;
    const std::uint64_t inner = std::uint64_t{spec.heads} * spec.head_dim;
    const std::uint64_t shared = std::uint64_t{spec.groups} * spec.state_size;
    return 18 * inner + 10 * shared + (8 + 6 * recurrence_chunk) * spec.heads;
}

}  // namespace anamnesis::runtime
