// SPDX-License-Identifier: Apache-2.0
#include "gated_delta_step.hpp"

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/zeros.h>

#include "cpu_kernels.hpp"
#include "layer_call.hpp"

namespace anamnesis::runtime {
namespace {

/// log(1 + e^x), as LibTorch computes it.
float softplus(float x) {
    return x > 20.0F ? x : std::log1p(std::exp(x));
}

float sigmoid(float x) {
    return 1.0F / (1.0F + std::exp(-x));
}

/// The states of a sequence that starts are zero.
void begin(LayerState& state, const checkpoint::GatedDeltaSpec& spec, const at::Tensor& mixed) {
    if (!state.past.defined()) {
        state.past = at::zeros({1, spec.conv_width - 1, mixed.size(-1)}, mixed.options());
    }
    if (!state.recurrent.defined()) {
        state.recurrent =
            at::zeros({1, spec.value_heads, spec.key_dim, spec.value_dim}, mixed.options());
    }
    state.past = state.past.contiguous();
    state.recurrent = state.recurrent.contiguous();
}

/// One sequence's token. Heads touch nothing in common.
class Step {
public:
    Step(const GatedDeltaLayer& layer, const at::Tensor& kernel, LayerState& state)
        : layer_(layer),
          spec_(layer.spec),
          kernel_(kernel.const_data_ptr<float>()),
          past_(state.past.mutable_data_ptr<float>()),
          state_(state.recurrent.mutable_data_ptr<float>()) {}

    struct Row {
        const float* mixed = nullptr;
        float* z = nullptr;  ///< overwritten by the result
        const float* a = nullptr;
        const float* b = nullptr;
    };

    /// A key head and the value heads that share it. `scratch` holds all channels.
    void run(std::size_t key_head, const Row& row, float* scratch) const {
        const std::size_t key_heads = spec_.key_heads;
        const std::size_t keys = key_heads * spec_.key_dim;
        const std::size_t share = spec_.value_heads / key_heads;
        const std::size_t values = share * spec_.value_dim;
        float* q = convolved(row, scratch, key_head * spec_.key_dim, spec_.key_dim);
        float* k = convolved(row, scratch, keys + key_head * spec_.key_dim, spec_.key_dim);
        float* v = convolved(row, scratch, 2 * keys + key_head * values, values);
        constexpr float eps = 1e-6F;
        cpu::l2_normalise(q, eps, spec_.key_dim);
        cpu::l2_normalise(k, eps, spec_.key_dim);
        for (std::size_t i = 0; i < share; ++i) {
            mix(key_head * share + i, row, q, k, v + i * spec_.value_dim);
        }
    }

private:
    float* convolved(const Row& row, float* scratch, std::size_t first, std::size_t count) const {
        const std::size_t channels =
            2 * spec_.key_heads * spec_.key_dim + spec_.value_heads * spec_.value_dim;
        cpu::convolve_next({.x = row.mixed,
                            .kernel = kernel_,
                            .past = past_,
                            .taps = spec_.conv_width,
                            .channels = channels},
                           scratch,
                           first,
                           first + count);
        cpu::silu(scratch + first, count);
        return scratch + first;
    }

    /// z = silu(z) * norm(o) of one value head; v is overwritten by o.
    void mix(std::size_t head, const Row& row, const float* q, const float* k, float* v) const {
        const float rate = std::exp(layer_.log_rate.const_data_ptr<float>()[head]);
        const float step = softplus(row.a[head] + layer_.dt_bias.const_data_ptr<float>()[head]);
        cpu::recurrent_step(state_ + head * spec_.key_dim * spec_.value_dim,
                            {.q = q,
                             .k = k,
                             .v = v,
                             .out = v,
                             .key_dim = spec_.key_dim,
                             .value_dim = spec_.value_dim,
                             .decay = std::exp(-rate * step),
                             .beta = sigmoid(row.b[head]) * static_cast<float>(spec_.beta_range),
                             .scale = 1.0F / std::sqrt(static_cast<float>(spec_.key_dim)),
                             .corrects = true});
        cpu::rms_norm(v,
                      {.gain = layer_.norm.gain.const_data_ptr<float>(),
                       .offset = layer_.norm.is_offset ? 1.0F : 0.0F,
                       .eps = static_cast<float>(layer_.norm.eps),
                       .columns = spec_.value_dim},
                      v,
                      1);
        cpu::swiglu(row.z + head * spec_.value_dim, v, spec_.value_dim);
    }

    const GatedDeltaLayer& layer_;
    const checkpoint::GatedDeltaSpec& spec_;
    const float* kernel_;
    float* past_;
    float* state_;
};

}  // namespace

at::Tensor join_kernels(const GatedDeltaLayer& layer) {
    return (layer.kernels.size() == 1 ? layer.kernels.front() : at::cat(layer.kernels)).squeeze(1);
}

bool can_step_gated_delta(const DeltaInputs& inputs, std::span<LayerState* const> states) {
    const at::Tensor& x = inputs.mixed;
    return !states.empty() && x.size(1) == 1 && x.is_cpu() && x.scalar_type() == at::kFloat &&
           !at::GradMode::is_enabled();
}

at::Tensor step_gated_delta(const GatedDeltaLayer& layer,
                            const DeltaInputs& inputs,
                            std::span<LayerState* const> states) {
    const checkpoint::GatedDeltaSpec& spec = layer.spec;
    const auto sequences = static_cast<std::int64_t>(states.size());
    const at::Tensor kernel = join_kernels(layer).contiguous();
    const at::Tensor mixed = inputs.mixed.contiguous();
    const at::Tensor a = inputs.a.contiguous();
    const at::Tensor b = inputs.b.contiguous();
    at::Tensor z = inputs.z.contiguous();
    std::vector<Step> steps;
    for (LayerState* state : states) {
        begin(*state, spec, mixed);
        steps.emplace_back(layer, kernel, *state);
    }
    const std::int64_t channels = mixed.size(-1);
    const std::int64_t heads = spec.value_heads;
    const std::int64_t key_heads = spec.key_heads;
    at::parallel_for(0, sequences * key_heads, 1, [&](std::int64_t first, std::int64_t last) {
        std::vector<float> scratch(static_cast<std::size_t>(channels));
        for (std::int64_t i = first; i < last; ++i) {
            const std::int64_t s = i / key_heads;
            steps[static_cast<std::size_t>(s)].run(
                static_cast<std::size_t>(i % key_heads),
                {.mixed = mixed.const_data_ptr<float>() + s * channels,
                 .z = z.mutable_data_ptr<float>() + s * heads * spec.value_dim,
                 .a = a.const_data_ptr<float>() + s * heads,
                 .b = b.const_data_ptr<float>() + s * heads},
                scratch.data());
        }
    });
    return z.view({sequences, 1, -1});
}

}  // namespace anamnesis::runtime
