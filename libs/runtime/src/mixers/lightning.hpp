// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "anamnesis/runtime/torch.hpp"

#include <cstddef>
#include <cstdint>
#include <span>

#include "anamnesis/checkpoint/mixers/lightning.hpp"

#include "layer_call.hpp"
#include "layer_weights.hpp"
#include "linear.hpp"
#include "norm.hpp"

namespace anamnesis::runtime {

/// Linear attention with a fixed decay for each head.
struct LightningLayer {
    checkpoint::LightningSpec spec{};
    Linear q_proj{}, k_proj{}, v_proj{}, o_proj{};
    Linear qkv_proj{};  ///< in place of the three where spec.fused says how its rows lie
    Linear z_proj{};
    RmsNorm q_norm{}, k_norm{}, o_norm{};
    at::Tensor log_decay{};  ///< [heads]
    std::size_t table = 0;   ///< into Call::tables, where spec.rotary is set
};

LightningLayer load_mixer(const checkpoint::LightningSpec& spec, const LayerWeights& weights);

/// Mixes tokens.
/// Shapes: x [B, T, d] -> [B, T, d]. `states` is empty (a whole text at once) or has one state
/// for each sequence, which is read and moved on.
at::Tensor mix(const LightningLayer& layer,
               const at::Tensor& x,
               const Call& call,
               std::span<LayerState* const> states);

/// What is kept of a sequence before its first token.
LayerState make_state(const LightningLayer& layer, const CacheOptions& options);

/// Values that a token leaves for the backward pass: decayed copies of queries, keys and
/// values, and for each head rows over the chunk.
std::uint64_t count_kept_values(const LightningLayer& layer);

}  // namespace anamnesis::runtime
