// SPDX-License-Identifier: Apache-2.0
#include "mixers/kimi_delta.hpp"

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include <ATen/ops/cat.h>
#include <ATen/ops/sigmoid.h>

#include "anamnesis/checkpoint/tensor_roles.hpp"

#include "convolution.hpp"
#include "kimi_delta_step.hpp"
#include "recurrent_parts.hpp"

namespace anamnesis::runtime {
namespace {

namespace role = checkpoint::role;

KimiDeltaInputs project(const KimiDeltaLayer& layer, const at::Tensor& x) {
    const bool is_low_rank = layer.spec.gate_rank.has_value();
    auto [q, k, v, decay, gate, beta] = apply_each(x,
                                                   layer.q_proj,
                                                   layer.k_proj,
                                                   layer.v_proj,
                                                   is_low_rank ? layer.decay_in : layer.decay_out,
                                                   is_low_rank ? layer.gate_in : layer.gate_out,
                                                   layer.b_proj);
    if (is_low_rank) {
        decay = apply(layer.decay_out, decay);
        gate = apply(layer.gate_out, gate);
    }
    return {.parts = {q, k, v}, .decay = decay, .gate = gate, .beta = beta};
}

/// The convolutions of q, k and v, whose pasts lie side by side; then silu.
std::array<at::Tensor, 3> convolve_parts(const KimiDeltaLayer& layer,
                                         const KimiDeltaInputs& inputs,
                                         std::span<LayerState* const> states) {
    const at::Tensor before = gather(states, &LayerState::past);
    std::array<at::Tensor, 3> convolved;
    std::vector<at::Tensor> pasts;
    for (std::size_t i = 0; i < convolved.size(); ++i) {
        const std::int64_t channels = layer.kernels[i].size(0);
        const at::Tensor past =
            before.defined() ? before.narrow(-1, static_cast<std::int64_t>(i) * channels, channels)
                             : before;
        const ConvolutionResult result =
            convolve(inputs.parts[i], layer.kernels[i].squeeze(1), past);
        convolved[i] = activated(result.output);
        pasts.push_back(result.past);
    }
    if (!states.empty()) {
        scatter(at::cat(pasts, -1), states, &LayerState::past);
    }
    return convolved;
}

}  // namespace

KimiDeltaLayer load_mixer(const checkpoint::KimiDeltaSpec& spec, const LayerWeights& weights) {
    KimiDeltaLayer layer{.spec = spec,
                         .q_proj = weights.linear(role::query),
                         .k_proj = weights.linear(role::key),
                         .v_proj = weights.linear(role::value),
                         .b_proj = weights.linear(role::learning_rate),
                         .o_proj = weights.linear(role::output),
                         .decay_out = weights.linear(role::decay),
                         .gate_out = weights.linear(role::output_gate),
                         .kernels = {weights.tensor(role::query_kernel),
                                     weights.tensor(role::key_kernel),
                                     weights.tensor(role::value_kernel)},
                         .log_rate = weights.tensor(role::log_rate),
                         .dt_bias = weights.tensor(role::step_bias),
                         .norm = weights.norm(role::output_norm, spec.norm_eps)};
    if (spec.gate_rank) {
        layer.decay_in = weights.linear(role::decay_input);
        layer.gate_in = weights.linear(role::gate_input);
    }
    return layer;
}

at::Tensor mix(const KimiDeltaLayer& layer,
               const at::Tensor& x,
               const Call& call,
               std::span<LayerState* const> states) {
    const checkpoint::KimiDeltaSpec& spec = layer.spec;
    const KimiDeltaInputs inputs = project(layer, x);
    if (can_step_kimi_delta(inputs, states)) {
        return apply(layer.o_proj, step_kimi_delta(layer, inputs, states));
    }
    const auto in_heads = [&](const at::Tensor& rows) {
        return rows.reshape({x.size(0), x.size(1), spec.heads, spec.head_dim});
    };
    const auto [q, k, v] = convolve_parts(layer, inputs, states);
    const at::Tensor y =
        run({.q = l2_normalised(in_heads(q)),
             .k = l2_normalised(in_heads(k)),
             .v = in_heads(v),
             .decay = make_channel_log_decay(
                 in_heads(inputs.decay), layer.log_rate, layer.dt_bias, spec.lower_bound),
             .beta = at::sigmoid(inputs.beta),
             .scale = 1.0 / std::sqrt(static_cast<double>(spec.head_dim))},
            states);
    return apply(
        layer.o_proj,
        gated(apply(layer.norm, call.take_wanted(y)), call.take_wanted(in_heads(inputs.gate)))
            .flatten(2));
}

LayerState make_state(const KimiDeltaLayer& /*layer*/, const CacheOptions& /*options*/) {
    return {};
}

std::uint64_t count_kept_values(const KimiDeltaLayer& layer) {
    const checkpoint::KimiDeltaSpec& spec = layer.spec;
    const std::uint64_t channels = std::uint64_t{spec.heads} * spec.head_dim;
    constexpr std::uint64_t block = 16;
    return (30 + 3 * block) * channels + 6 * recurrence_chunk * spec.heads;
}

}  // namespace anamnesis::runtime
