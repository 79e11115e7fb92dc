// SPDX-License-Identifier: Apache-2.0
#include "mixers/gated_delta.hpp"

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string_view>
#include <vector>

#include <ATen/ops/cat.h>
#include <ATen/ops/sigmoid.h>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/tensor_roles.hpp"

#include "convolution.hpp"
#include "gated_delta_step.hpp"
#include "recurrent_parts.hpp"

namespace anamnesis::runtime {
namespace {

namespace role = checkpoint::role;
using checkpoint::DeltaProjections;

/// Convolutions of q, k and v whose channels together are those of all three.
std::vector<at::Tensor> load_separate_kernels(const checkpoint::GatedDeltaSpec& spec,
                                              const LayerWeights& weights) {
    std::vector<at::Tensor> kernels{weights.tensor(role::query_kernel),
                                    weights.tensor(role::key_kernel),
                                    weights.tensor(role::value_kernel)};
    std::int64_t channels = 0;
    for (const at::Tensor& kernel : kernels) {
        channels += kernel.size(0);
    }
    const std::int64_t expected = 2 * std::int64_t{spec.key_heads} * spec.key_dim +
                                  std::int64_t{spec.value_heads} * spec.value_dim;
    if (channels != expected) {
        throw Error(ErrorKind::mismatch,
                    format("the convolutions of a gated delta layer have {} channels, expected {}",
                           channels,
                           expected));
    }
    return kernels;
}

std::vector<Linear> load_projections(const checkpoint::GatedDeltaSpec& spec,
                                     const LayerWeights& weights) {
    const auto load = [&](std::initializer_list<std::string_view> roles) {
        std::vector<Linear> projections;
        for (const std::string_view one : roles) {
            projections.push_back(weights.linear(one));
        }
        return projections;
    };
    switch (spec.projections) {
        case DeltaProjections::grouped:
            return load({role::query_key_value_gate, role::rate_and_step});
        case DeltaProjections::plain:
            return load(
                {role::query_key_value, role::output_gate, role::learning_rate, role::step});
        case DeltaProjections::separate:
            return load({role::query,
                         role::key,
                         role::value,
                         role::output_gate,
                         role::learning_rate,
                         role::step});
    }
    return {};
}

/// Qwen3-Next: rows lie key head by key head, each with its share of values and gates.
DeltaInputs project_grouped(const GatedDeltaLayer& layer, const at::Tensor& x) {
    const checkpoint::GatedDeltaSpec& spec = layer.spec;
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
    const checkpoint::GatedDeltaSpec& spec = layer.spec;
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

GatedDeltaLayer load_mixer(const checkpoint::GatedDeltaSpec& spec, const LayerWeights& weights) {
    return {.spec = spec,
            .in_proj = load_projections(spec, weights),
            .kernels = spec.projections == DeltaProjections::separate
                           ? load_separate_kernels(spec, weights)
                           : std::vector{weights.tensor(role::kernel)},
            .log_rate = weights.tensor(role::log_rate),
            .dt_bias = weights.tensor(role::step_bias),
            .norm = weights.norm(role::output_norm, spec.norm_eps),
            .out_proj = weights.linear(role::output)};
}

at::Tensor mix(const GatedDeltaLayer& layer,
               const at::Tensor& x,
               const Call& call,
               std::span<LayerState* const> states) {
    const checkpoint::GatedDeltaSpec& spec = layer.spec;
    const DeltaInputs inputs = project(layer, x);
    if (can_step_gated_delta(inputs, states)) {
        return apply(layer.out_proj, step_gated_delta(layer, inputs, states));
    }
    const ConvolutionResult convolved =
        convolve(inputs.mixed, join_kernels(layer), gather(states, &LayerState::past));
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
                              .decay = make_log_decay(inputs.a, layer.log_rate, layer.dt_bias),
                              .beta = at::sigmoid(inputs.b) * spec.beta_range,
                              .scale = 1.0 / std::sqrt(static_cast<double>(spec.key_dim))},
                             states);
    return apply(layer.out_proj,
                 apply_norm_and_gate(layer.norm, call.take_wanted(y), call.take_wanted(inputs.z))
                     .flatten(2));
}

LayerState make_state(const GatedDeltaLayer& /*layer*/, const CacheOptions& /*options*/) {
    return {};
}

std::uint64_t count_kept_values(const GatedDeltaLayer& layer) {
    const checkpoint::GatedDeltaSpec& spec = layer.spec;
    const std::uint64_t keys = std::uint64_t{spec.value_heads} * spec.key_dim;
    const std::uint64_t values = std::uint64_t{spec.value_heads} * spec.value_dim;
    return 14 * keys + 12 * values + 6 * recurrence_chunk * spec.value_heads;
}

}  // namespace anamnesis::runtime
