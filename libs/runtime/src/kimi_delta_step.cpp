// SPDX-License-Identifier: Apache-2.0
#include "kimi_delta_step.hpp"

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/zeros.h>

#include "cpu_kernels.hpp"
#include "layer_call.hpp"

namespace anamnesis::runtime {
namespace {

/// The states of a sequence that starts are zero.
void begin(LayerState& state, const checkpoint::KimiDeltaSpec& spec, const at::Tensor& like) {
    const std::int64_t heads = spec.heads;
    const std::int64_t dim = spec.head_dim;
    if (!state.past.defined()) {
        state.past = at::zeros({1, spec.conv_width - 1, 3 * heads * dim}, like.options());
    }
    if (!state.recurrent.defined()) {
        state.recurrent = at::zeros({1, heads, dim, dim}, like.options());
    }
    state.past = state.past.contiguous();
    state.recurrent = state.recurrent.contiguous();
}

/// One head of one sequence, whose first channel is `first`.
struct Place {
    std::size_t head = 0;
    std::size_t first = 0;  ///< channel
    std::size_t sequence = 0;
};

/// What all heads of a step read.
class Step {
public:
    Step(const KimiDeltaLayer& layer, const KimiDeltaInputs& inputs)
        : layer_(layer),
          channels_(static_cast<std::size_t>(inputs.decay.size(-1))),
          heads_(layer.spec.heads),
          dim_(layer.spec.head_dim),
          taps_(layer.spec.conv_width),
          decay_(inputs.decay.contiguous()),
          gate_(inputs.gate.contiguous()),
          beta_(inputs.beta.contiguous()),
          log_rate_(layer.log_rate.contiguous()),
          dt_bias_(layer.dt_bias.contiguous()) {
        for (std::size_t i = 0; i < parts_.size(); ++i) {
            parts_[i] = inputs.parts[i].contiguous();
            kernels_[i] = layer.kernels[i].contiguous();
        }
    }

    /// `scratch` holds four heads' channels.
    void run(const Place& place, LayerState& state, float* y, float* scratch) const {
        for (std::size_t i = 0; i < parts_.size(); ++i) {
            convolve(place, state, i, scratch + i * dim_);
        }
        float* q = scratch;
        float* k = scratch + dim_;
        constexpr float eps = 1e-6F;
        cpu::l2_normalise(q, eps, dim_);
        cpu::l2_normalise(k, eps, dim_);
        const std::size_t row = place.sequence * channels_ + place.first;
        float* decays = scratch + 3 * dim_;
        cpu::raise_channel_decays(
            {.input = decay_.const_data_ptr<float>() + row,
             .bias = dt_bias_.const_data_ptr<float>() + place.first,
             .rate = std::exp(log_rate_.const_data_ptr<float>()[place.head]),
             .lower_bound = static_cast<float>(layer_.spec.lower_bound.value_or(0.0))},
            decays,
            dim_);
        const float beta = beta_.const_data_ptr<float>()[place.sequence * heads_ + place.head];
        cpu::recurrent_step(state.recurrent.mutable_data_ptr<float>() + place.head * dim_ * dim_,
                            {.q = q,
                             .k = k,
                             .v = scratch + 2 * dim_,
                             .out = y + row,
                             .key_dim = dim_,
                             .value_dim = dim_,
                             .channel_decays = decays,
                             .beta = 1.0F / (1.0F + std::exp(-beta)),
                             .scale = 1.0F / std::sqrt(static_cast<float>(dim_)),
                             .corrects = true});
        cpu::rms_norm(y + row,
                      {.gain = layer_.norm.gain.const_data_ptr<float>(),
                       .eps = static_cast<float>(layer_.norm.eps),
                       .columns = dim_},
                      y + row,
                      1);
        cpu::multiply_by_sigmoid(y + row, gate_.const_data_ptr<float>() + row, dim_);
    }

private:
    /// Of q, k or v, whose pasts lie side by side.
    void convolve(const Place& place, LayerState& state, std::size_t part, float* out) const {
        cpu::convolve_next(
            {.x = parts_[part].const_data_ptr<float>() + place.sequence * channels_ + place.first,
             .kernel = kernels_[part].const_data_ptr<float>() + place.first * taps_,
             .past = state.past.mutable_data_ptr<float>() + part * channels_ + place.first,
             .taps = taps_,
             .channels = parts_.size() * channels_},
            out,
            0,
            dim_);
        cpu::silu(out, dim_);
    }

    const KimiDeltaLayer& layer_;
    std::size_t channels_, heads_, dim_, taps_;
    std::array<at::Tensor, 3> parts_, kernels_;
    at::Tensor decay_, gate_, beta_, log_rate_, dt_bias_;
};

}  // namespace

bool can_step_kimi_delta(const KimiDeltaInputs& inputs, std::span<LayerState* const> states) {
    const at::Tensor& x = inputs.decay;
    return !states.empty() && x.size(1) == 1 && x.is_cpu() && x.scalar_type() == at::kFloat &&
           !at::GradMode::is_enabled();
}

at::Tensor step_kimi_delta(const KimiDeltaLayer& layer,
                           const KimiDeltaInputs& inputs,
                           std::span<LayerState* const> states) {
    const std::size_t heads = layer.spec.heads;
    const std::size_t dim = layer.spec.head_dim;
    for (LayerState* state : states) {
        begin(*state, layer.spec, inputs.decay);
    }
    const Step step(layer, inputs);
    at::Tensor y = at::empty_like(inputs.decay, at::MemoryFormat::Contiguous);
    const auto count = static_cast<std::int64_t>(states.size() * heads);
    at::parallel_for(0, count, 1, [&](std::int64_t first, std::int64_t last) {
        std::vector<float> scratch(4 * dim);
        for (std::int64_t i = first; i < last; ++i) {
            const std::size_t head = static_cast<std::size_t>(i) % heads;
            const std::size_t sequence = static_cast<std::size_t>(i) / heads;
            step.run({.head = head, .first = head * dim, .sequence = sequence},
                     *states[sequence],
                     y.mutable_data_ptr<float>(),
                     scratch.data());
        }
    });
    return y;
}

}  // namespace anamnesis::runtime
