// SPDX-License-Identifier: Apache-2.0
#include "mamba2_step.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>

#include "cpu_kernels.hpp"
#include "layer_call.hpp"

namespace anamnesis::runtime {
namespace {

using checkpoint::GatedNorm;

constexpr std::int64_t channel_grain = 2048;  ///< channels of a convolution that are worth a thread
constexpr std::int64_t head_grain = 4;

/// log(1 + e^x), as LibTorch computes it.
float softplus(float x) {
    return x > 20.0F ? x : std::log1p(std::exp(x));
}

/// One token of one sequence.
class Step {
public:
    Step(const Mamba2Layer& layer, const float* projected, LayerState& state, float* mixed)
        : layer_(layer),
          spec_(layer.spec),
          inner_(std::size_t{spec_.heads} * spec_.head_dim),
          shared_(std::size_t{spec_.groups} * spec_.state_size),
          z_(projected),
          dt_(projected + 2 * inner_ + 2 * shared_),
          past_(state.past.mutable_data_ptr<float>()),
          state_(state.recurrent.mutable_data_ptr<float>()),
          mixed_(mixed) {}

    /// Channels [begin, end) of x, B and C: their convolution, activated.
    void convolve(std::size_t begin, std::size_t end) const {
        cpu::convolve_next(
            {.x = z_ + inner_,
             .kernel = layer_.kernel.const_data_ptr<float>(),
             .bias = layer_.kernel_bias.defined() ? layer_.kernel_bias.const_data_ptr<float>()
                                                  : nullptr,
             .past = past_,
             .taps = spec_.conv_width,
             .channels = inner_ + 2 * shared_},
            mixed_,
            begin,
            end);
        cpu::silu(mixed_ + begin, end - begin);
    }

    /// One head: `out` [head_dim] is its output, gated unless the norm comes first. `scratch` holds
    /// head_dim values.
    void mix(std::size_t head, float* out, float* scratch) const {
        const std::size_t width = spec_.head_dim;
        const std::size_t group = head / (spec_.heads / spec_.groups);
        const float* x = mixed_ + head * width;
        const float step =
            std::clamp(softplus(dt_[head] + layer_.dt_bias.const_data_ptr<float>()[head]),
                       static_cast<float>(spec_.least_step),
                       static_cast<float>(spec_.greatest_step));
        const float rate = std::exp(layer_.log_rate.const_data_ptr<float>()[head]);
        const float skip = layer_.skip.const_data_ptr<float>()[head];
        for (std::size_t i = 0; i < width; ++i) {
            scratch[i] = step * x[i];
        }
        cpu::recurrent_step(state_ + head * spec_.state_size * width,
                            {.q = mixed_ + inner_ + shared_ + group * spec_.state_size,
                             .k = mixed_ + inner_ + group * spec_.state_size,
                             .v = scratch,
                             .out = scratch,
                             .key_dim = spec_.state_size,
                             .value_dim = width,
                             .decay = std::exp(-rate * step)});
        for (std::size_t i = 0; i < width; ++i) {
            scratch[i] += skip * x[i];
        }
        if (spec_.norm == GatedNorm::norm_first) {
            std::copy(scratch, scratch + width, out);
        } else {
            std::copy(z_ + head * width, z_ + (head + 1) * width, out);
            cpu::swiglu(out, scratch, width);
        }
    }

    /// What is left once all heads are there. `scratch` holds heads * head_dim values.
    void finish(float* out, float* scratch) const {
        if (spec_.norm == GatedNorm::none) {
            return;
        }
        const std::size_t width = inner_ / spec_.groups;
        for (std::size_t first = 0; first < inner_; first += width) {
            cpu::rms_norm(out + first,
                          {.gain = layer_.norm.gain.const_data_ptr<float>() + first,
                           .eps = static_cast<float>(layer_.norm.eps),
                           .columns = width},
                          out + first,
                          1);
        }
        if (spec_.norm == GatedNorm::norm_first) {
            std::copy(out, out + inner_, scratch);
            std::copy(z_, z_ + inner_, out);
            cpu::swiglu(out, scratch, inner_);
        }
    }

private:
    const Mamba2Layer& layer_;
    const checkpoint::Mamba2Spec& spec_;
    std::size_t inner_, shared_;
    const float* z_;  // in_proj's rows: z, x, B, C, dt
    const float* dt_;
    float* past_;
    float* state_;
    float* mixed_;  // x, B, C after the convolution
};

/// The states of a sequence that starts are zero.
void begin(LayerState& state, const checkpoint::Mamba2Spec& spec, const at::Tensor& projected) {
    const std::int64_t channels =
        std::int64_t{spec.heads} * spec.head_dim + 2 * std::int64_t{spec.groups} * spec.state_size;
    if (!state.past.defined()) {
        state.past = at::zeros({1, spec.conv_width - 1, channels}, projected.options());
    }
    if (!state.recurrent.defined()) {
        state.recurrent =
            at::zeros({1, spec.heads, spec.state_size, spec.head_dim}, projected.options());
    }
    state.past = state.past.contiguous();
    state.recurrent = state.recurrent.contiguous();
}

/// Numbers [begin, end) that count through all sequences, `each` a sequence, cut where one ends.
template <class Work>
void for_each_sequence(std::int64_t begin, std::int64_t end, std::int64_t each, const Work& work) {
    while (begin < end) {
        const std::int64_t sequence = begin / each;
        const std::int64_t last = std::min(end, (sequence + 1) * each);
        work(static_cast<std::size_t>(sequence),
             static_cast<std::size_t>(begin - sequence * each),
             static_cast<std::size_t>(last - sequence * each));
        begin = last;
    }
}

}  // namespace

bool can_step_mamba2(const at::Tensor& projected, std::span<LayerState* const> states) {
    return !states.empty() && projected.size(1) == 1 && projected.is_cpu() &&
           projected.scalar_type() == at::kFloat && !at::GradMode::is_enabled();
}

at::Tensor step_mamba2(const Mamba2Layer& layer,
                       const at::Tensor& projected,
                       std::span<LayerState* const> states) {
    const checkpoint::Mamba2Spec& spec = layer.spec;
    const auto sequences = static_cast<std::int64_t>(states.size());
    const std::int64_t inner = std::int64_t{spec.heads} * spec.head_dim;
    const std::int64_t channels = inner + 2 * std::int64_t{spec.groups} * spec.state_size;
    const at::Tensor rows = projected.contiguous();
    at::Tensor mixed = at::empty({sequences, channels}, rows.options());
    at::Tensor out = at::empty({sequences, 1, inner}, rows.options());
    float* outputs = out.mutable_data_ptr<float>();
    std::vector<Step> steps;
    for (std::int64_t s = 0; s < sequences; ++s) {
        LayerState& state = *states[static_cast<std::size_t>(s)];
        begin(state, spec, rows);
        steps.emplace_back(layer,
                           rows.const_data_ptr<float>() + s * rows.size(-1),
                           state,
                           mixed.mutable_data_ptr<float>() + s * channels);
    }
    at::parallel_for(
        0, sequences * channels, channel_grain, [&](std::int64_t first, std::int64_t last) {
            for_each_sequence(first, last, channels, [&](auto s, auto from, auto to) {
                steps[s].convolve(from, to);
            });
        });
    at::parallel_for(
        0, sequences * spec.heads, head_grain, [&](std::int64_t first, std::int64_t last) {
            std::vector<float> scratch(spec.head_dim);
            for_each_sequence(first, last, spec.heads, [&](auto s, auto from, auto to) {
                for (std::size_t head = from; head < to; ++head) {
                    float* target =
                        outputs + s * static_cast<std::size_t>(inner) + head * spec.head_dim;
                    steps[s].mix(head, target, scratch.data());
                }
            });
        });
    std::vector<float> scratch(static_cast<std::size_t>(inner));
    for (std::size_t s = 0; s < steps.size(); ++s) {
        steps[s].finish(outputs + s * static_cast<std::size_t>(inner), scratch.data());
    }
    return out;
}

}  // namespace anamnesis::runtime
