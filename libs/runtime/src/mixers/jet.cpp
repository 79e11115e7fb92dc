// SPDX-License-Identifier: Apache-2.0
#include "mixers/jet.hpp"

#include <cmath>
#include <cstdint>
#include <span>

#include <ATen/ops/sigmoid.h>
#include <ATen/ops/silu.h>

#include "anamnesis/checkpoint/mixers/gated_delta.hpp"
#include "anamnesis/checkpoint/tensor_roles.hpp"

#include "convolution.hpp"
#include "recurrent_parts.hpp"

namespace anamnesis::runtime {

namespace role = checkpoint::role;

JetLayer load_mixer(const checkpoint::JetSpec& spec, const LayerWeights& weights) {
    return {.spec = spec,
            .q_proj = weights.linear(role::query),
            .k_proj = weights.linear(role::key),
            .v_proj = weights.linear(role::value),
            .a_proj = weights.linear(role::step),
            .b_proj = weights.linear(role::learning_rate),
            .g_proj = weights.linear(role::output_gate),
            .o_proj = weights.linear(role::output),
            .generator_in = weights.linear(role::generator_input),
            .generator_out = weights.linear(role::generator_output),
            .log_rate = weights.tensor(role::log_rate),
            .dt_bias = weights.tensor(role::step_bias),
            .norm = weights.norm(role::output_norm, spec.norm_eps)};
}

at::Tensor mix(const JetLayer& layer,
               const at::Tensor& x,
               const Call& call,
               std::span<LayerState* const> states) {
    const checkpoint::JetSpec& spec = layer.spec;
    const auto [q, k, projected_v, a, b, g, generated] = apply_each(x,
                                                                    layer.q_proj,
                                                                    layer.k_proj,
                                                                    layer.v_proj,
                                                                    layer.a_proj,
                                                                    layer.b_proj,
                                                                    layer.g_proj,
                                                                    layer.generator_in);
    const std::int64_t batch = x.size(0);
    const std::int64_t length = x.size(1);
    const std::int64_t channels = std::int64_t{spec.heads} * spec.value_dim;
    const auto in_heads = [&](const at::Tensor& keys) {
        return l2_normalised(at::silu(keys).view({batch, length, spec.heads, spec.key_dim}));
    };
    const at::Tensor kernel = apply(layer.generator_out, at::silu(generated))
                                  .view({batch, length, channels, spec.conv_width});
    const ConvolutionResult convolved =
        convolve_dynamically(projected_v, kernel, gather(states, &LayerState::past));
    scatter(convolved.past, states, &LayerState::past);
    const at::Tensor v =
        activated(convolved.output).view({batch, length, spec.heads, spec.value_dim});
    const at::Tensor y = run({.q = in_heads(q),
                              .k = in_heads(k),
                              .v = v,
                              .decay = make_log_decay(a, layer.log_rate, layer.dt_bias),
                              .beta = at::sigmoid(b),
                              .scale = 1.0 / std::sqrt(static_cast<double>(spec.key_dim))},
                             states);
    const at::Tensor z = g.view({batch, length, spec.heads, spec.value_dim});
    return apply(
        layer.o_proj,
        apply_norm_and_gate(layer.norm, call.take_wanted(y), call.take_wanted(z)).flatten(2));
}

LayerState make_state(const JetLayer& /*layer*/, const CacheOptions& /*options*/) {
    return {};
}

std::uint64_t count_kept_values(const JetLayer& layer) {
    const checkpoint::JetSpec& spec = layer.spec;
    const std::uint64_t keys = std::uint64_t{spec.heads} * spec.key_dim;
    const std::uint64_t values = std::uint64_t{spec.heads} * spec.value_dim;
    return 14 * keys + (12 + spec.conv_width) * values + 6 * recurrence_chunk * spec.heads;
}

}  // namespace anamnesis::runtime
