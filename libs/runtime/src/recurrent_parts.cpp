// SPDX-License-Identifier: Apache-2.0
#include "recurrent_parts.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include <ATen/ops/cat.h>
#include <ATen/ops/exp.h>
#include <ATen/ops/sigmoid.h>
#include <ATen/ops/softplus.h>
#include <ATen/ops/zeros_like.h>

#include "differentiable.hpp"

namespace anamnesis::runtime {

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

at::Tensor make_log_decay(const at::Tensor& a,
                          const at::Tensor& log_rate,
                          const at::Tensor& dt_bias) {
    return -at::exp(log_rate) * at::softplus(a + dt_bias);
}

at::Tensor make_channel_log_decay(const at::Tensor& f,
                                  const at::Tensor& log_rate,
                                  const at::Tensor& dt_bias,
                                  const std::optional<double>& lower_bound) {
    const at::Tensor y = f + dt_bias.view({f.size(2), f.size(3)});
    const at::Tensor rate = at::exp(log_rate.reshape({-1, 1}));
    return lower_bound ? at::sigmoid(rate * y) * *lower_bound : -rate * at::softplus(y);
}

at::Tensor apply_norm_and_gate(const RmsNorm& norm, const at::Tensor& y, const at::Tensor& z) {
    return swiglu(z, apply(norm, y));
}

}  // namespace anamnesis::runtime
