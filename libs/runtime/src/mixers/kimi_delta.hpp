// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "anamnesis/runtime/torch.hpp"

#include <array>
#include <cstdint>
#include <span>

#include "anamnesis/checkpoint/mixers/kimi_delta.hpp"

#include "layer_call.hpp"
#include "layer_weights.hpp"
#include "linear.hpp"
#include "norm.hpp"

namespace anamnesis::runtime {

/// Gated delta rule with a decay for each key channel.
struct KimiDeltaLayer {
    checkpoint::KimiDeltaSpec spec{};
    Linear q_proj{}, k_proj{}, v_proj{}, b_proj{}, o_proj{};
    Linear decay_in{}, decay_out{};  ///< the first where the decay is low-rank
    Linear gate_in{}, gate_out{};
    std::array<at::Tensor, 3> kernels{};  ///< of q, k and v, [channels, 1, W]
    at::Tensor log_rate{};                ///< A_log, a value for each head
    at::Tensor dt_bias{};                 ///< [channels]
    RmsNorm norm{};
};

KimiDeltaLayer load_mixer(const checkpoint::KimiDeltaSpec& spec, const LayerWeights& weights);

/// Mixes tokens.
/// Shapes: x [B, T, d] -> [B, T, d]. `states` is empty (a whole text at once) or has one state
/// for each sequence, which is read and moved on.
at::Tensor mix(const KimiDeltaLayer& layer,
               const at::Tensor& x,
               const Call& call,
               std::span<LayerState* const> states);

/// What is kept of a sequence before its first token.
LayerState make_state(const KimiDeltaLayer& layer, const CacheOptions& options);

/// Values that a token leaves for the backward pass: as the gated delta rule, and for each channel
/// its decays to the tokens of its block.
std::uint64_t count_kept_values(const KimiDeltaLayer& layer);

}  // namespace anamnesis::runtime
