// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include <ATen/ops/cat.h>
#include <ATen/ops/exp.h>
#include <ATen/ops/sigmoid.h>
#include <ATen/ops/silu.h>
#include <ATen/ops/softplus.h>
#include <ATen/ops/zeros_like.h>

#include "anamnesis/runtime/model_spec.hpp"

#include "convolution.hpp"
#include "differentiable.hpp"
#include "gated_delta_step.hpp"
#include "layer.hpp"
#include "linear.hpp"
#include "norm.hpp"
#include "recurrence.hpp"
#include "rotary.hpp"

namespace anamnesis::runtime {
namespace {

/// The states' members side by side along the batch; undefined where none has begun.
at::Tensor gather(std::span<LayerState* const> states, at::Tensor LayerState::* member) {
    if (states.empty()) {
        return {};
    }
    if (states.size() == 1) {
        return states.front()->*member;
    }
    at::Tensor like;
    for (const LayerState* state : states) {
        if ((state->*member).defined()) {
            like = state->*member;
        }
    }
    if (!like.defined()) {
        return {};
    }
    std::vector<at::Tensor> rows;
    for (const LayerState* state : states) {
        rows.push_back((state->*member).defined() ? state->*member : at::zeros_like(like));
    }
    return at::cat(rows);
}

void scatter(const at::Tensor& rows,
             std::span<LayerState* const> states,
             at::Tensor LayerState::* member) {
    if (states.size() == 1) {
        states.front()->*member = rows;
        return;
    }
    for (std::size_t b = 0; b < states.size(); ++b) {
        // A copy: a view would keep the other sequences' states alive.
        states[b]->*member = rows.narrow(0, static_cast<std::int64_t>(b), 1).clone();
    }
}

at::Tensor run(Recurrence input, std::span<LayerState* const> states) {
    if (states.empty() && differentiable::applies_to(input)) {
        return differentiable::lightning(input);
    }
    input.state = gather(states, &LayerState::recurrent);
    const RecurrenceResult result = run_recurrence(input);
    scatter(result.state, states, &LayerState::recurrent);
    return result.output;
}

/// -exp(A_log) softplus(a + dt_bias).
at::Tensor log_decay_of(const at::Tensor& a,
                        const at::Tensor& log_rate,
                        const at::Tensor& dt_bias) {
    return -at::exp(log_rate) * at::softplus(a + dt_bias);
}

/// Normalised, then times silu of the gate, which may be overwritten.
at::Tensor normed_and_gated(const RmsNorm& norm, const at::Tensor& y, const at::Tensor& z) {
    return swiglu(z, apply(norm, y));
}

/// Qwen3-Next: rows lie key head by key head, each with its share of values and gates.
DeltaInputs project_grouped(const GatedDeltaLayer& layer, const at::Tensor& x) {
    const GatedDeltaSpec& spec = layer.spec;
    const std::int64_t batch = x.size(0);
    const std::int64_t length = x.size(1);
    const std::int64_t share = spec.value_heads / spec.key_heads;
    const std::int64_t key_dim = spec.key_dim;
    const std::int64_t values = share * spec.value_dim;
    const auto projected = apply_each(x, layer.in_proj[0], layer.in_proj[1]);
    const at::Tensor qkvz =
        projected[0].view({batch, length, spec.key_heads, 2 * key_dim + 2 * values});
    const at::Tensor ba = projected[1].view({batch, length, spec.key_heads, 2 * share});
    const auto part = [&](std::int64_t first, std::int64_t size) {
        return qkvz.narrow(-1, first, size).reshape({batch, length, -1});
    };
    return {
        .mixed = at::cat({part(0, key_dim), part(key_dim, key_dim), part(2 * key_dim, values)}, -1),
        .z = part(2 * key_dim + values, values)
                 .view({batch, length, spec.value_heads, spec.value_dim}),
        .b = ba.narrow(-1, 0, share).reshape({batch, length, -1}),
        .a = ba.narrow(-1, share, share).reshape({batch, length, -1})};
}

DeltaInputs project(const GatedDeltaLayer& layer, const at::Tensor& x) {
    const GatedDeltaSpec& spec = layer.spec;
    if (spec.projections == DeltaProjections::grouped) {
        return project_grouped(layer, x);
    }
    std::vector<const Linear*> projections;
    for (const Linear& projection : layer.in_proj) {
        projections.push_back(&projection);
    }
    std::vector<at::Tensor> parts(projections.size());
    apply_all(x, projections, parts);
    const std::size_t count = parts.size();
    const at::Tensor z = parts[count - 3];
    const at::Tensor b = parts[count - 2];
    const at::Tensor a = parts[count - 1];
    parts.resize(count - 3);
    return {.mixed = parts.size() == 1 ? parts.front() : at::cat(parts, -1),
            .z = z.view({x.size(0), x.size(1), spec.value_heads, spec.value_dim}),
            .b = b,
            .a = a};
}

}  // namespace

at::Tensor mix(const LightningLayer& layer,
               const at::Tensor& x,
               const Call& call,
               std::span<LayerState* const> states) {
    const LightningSpec& spec = layer.spec;
    const auto projected = apply_each(x, layer.q_proj, layer.k_proj, layer.v_proj, layer.z_proj);
    const auto in_heads = [&](const at::Tensor& rows, std::int64_t heads) {
        return rows.view({x.size(0), x.size(1), heads, spec.heads.head_dim});
    };
    at::Tensor q = in_heads(projected[0], spec.heads.query_heads);
    at::Tensor k = in_heads(projected[1], spec.heads.kv_heads);
    at::Tensor v = in_heads(projected[2], spec.heads.kv_heads);
    if (spec.has_qk_norm) {
        q = apply(layer.q_norm, q);
        k = apply(layer.k_norm, k);
    }
    if (spec.rotary) {
        q = rotate(q, call.tables[layer.table]);
        k = rotate(k, call.tables[layer.table]);
    }
    if (spec.heads.kv_heads != spec.heads.query_heads) {
        const std::int64_t group = spec.heads.query_heads / spec.heads.kv_heads;
        k = k.repeat_interleave(group, 2);
        v = v.repeat_interleave(group, 2);
    }
    at::Tensor y =
        run({.q = q, .k = k, .v = v, .decay = layer.log_decay, .scale = spec.scale}, states)
            .reshape({x.size(0), x.size(1), -1});
    if (spec.has_output_norm) {
        y = apply(layer.o_norm, y);
    }
    if (spec.has_output_gate) {
        y = gated(y, projected[3]);
    }
    return apply(layer.o_proj, y);
}

at::Tensor mix(const GatedDeltaLayer& layer,
               const at::Tensor& x,
               const Call& /*call*/,
               std::span<LayerState* const> states) {
    const GatedDeltaSpec& spec = layer.spec;
    const DeltaInputs inputs = project(layer, x);
    if (can_step_gated_delta(inputs, states)) {
        return apply(layer.out_proj, step_gated_delta(layer, inputs, states));
    }
    const ConvolutionResult convolved =
        convolve(inputs.mixed, kernel_of(layer), gather(states, &LayerState::past));
    scatter(convolved.past, states, &LayerState::past);
    const at::Tensor mixed = activated(convolved.output);
    const std::int64_t keys = std::int64_t{spec.key_heads} * spec.key_dim;
    const std::int64_t share = spec.value_heads / spec.key_heads;
    const auto heads = [&](std::int64_t first, std::int64_t count, std::int64_t dim) {
        return mixed.narrow(-1, first, count * dim).reshape({x.size(0), x.size(1), count, dim});
    };
    at::Tensor q = l2_normalised(heads(0, spec.key_heads, spec.key_dim));
    at::Tensor k = l2_normalised(heads(keys, spec.key_heads, spec.key_dim));
    if (share > 1) {
        q = q.repeat_interleave(share, 2);
        k = k.repeat_interleave(share, 2);
    }
    const at::Tensor y = run({.q = q,
                              .k = k,
                              .v = heads(2 * keys, spec.value_heads, spec.value_dim),
                              .decay = log_decay_of(inputs.a, layer.log_rate, layer.dt_bias),
                              .beta = at::sigmoid(inputs.b) * spec.beta_range,
                              .scale = 1.0 / std::sqrt(static_cast<double>(spec.key_dim))},
                             states);
    return apply(layer.out_proj,
                 normed_and_gated(layer.norm, y, inputs.z).reshape({x.size(0), x.size(1), -1}));
}

at::Tensor mix(const JetLayer& layer,
               const at::Tensor& x,
               const Call& /*call*/,
               std::span<LayerState* const> states) {
    const JetSpec& spec = layer.spec;
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
                              .decay = log_decay_of(a, layer.log_rate, layer.dt_bias),
                              .beta = at::sigmoid(b),
                              .scale = 1.0 / std::sqrt(static_cast<double>(spec.key_dim))},
                             states);
    const at::Tensor z = g.view({batch, length, spec.heads, spec.value_dim});
    return apply(layer.o_proj, normed_and_gated(layer.norm, y, z).reshape({batch, length, -1}));
}

}  // namespace anamnesis::runtime
