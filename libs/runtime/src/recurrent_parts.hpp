// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "anamnesis/runtime/torch.hpp"

#include <cstdint>
#include <optional>
#include <span>

#include "layer_call.hpp"
#include "norm.hpp"
#include "recurrence.hpp"

/// What mixers with a recurrent state have in common.
namespace anamnesis::runtime {

/// Tokens of a chunk of a recurrence: in a backward pass each holds a row of weights over its
/// chunk.
inline constexpr std::uint64_t recurrence_chunk = 64;

/// The states' members side by side along the batch; undefined where none has begun.
at::Tensor gather(std::span<LayerState* const> states, at::Tensor LayerState::* member);
/// The other way round.
void scatter(const at::Tensor& rows,
             std::span<LayerState* const> states,
             at::Tensor LayerState::* member);

/// The recurrence from `states` on, which move on; from zero where there are none.
at::Tensor run(Recurrence input, std::span<LayerState* const> states);

/// -exp(A_log) softplus(a + dt_bias).
at::Tensor make_log_decay(const at::Tensor& a,
                          const at::Tensor& log_rate,
                          const at::Tensor& dt_bias);

/// The log decays of key channels: -exp(A_log) softplus(y), or lower_bound sigmoid(exp(A_log) y),
/// y being f + dt_bias. Shapes: f [B, T, H, K], log_rate of H values, dt_bias [H K].
/// Source: transformers 5.23, modeling_kimi_linear.py and modeling_bailing_hybrid.py.
at::Tensor make_channel_log_decay(const at::Tensor& f,
                                  const at::Tensor& log_rate,
                                  const at::Tensor& dt_bias,
                                  const std::optional<double>& lower_bound);

/// Normalised, then times silu of the gate, which may be overwritten.
at::Tensor apply_norm_and_gate(const RmsNorm& norm, const at::Tensor& y, const at::Tensor& z);

}  // namespace anamnesis::runtime
