// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "anamnesis/runtime/torch.hpp"

#include <cstdint>
#include <span>

#include "anamnesis/checkpoint/mixers/rg_lru.hpp"

#include "layer_call.hpp"
#include "layer_weights.hpp"
#include "linear.hpp"

namespace anamnesis::runtime {

/// Griffin's recurrent block.
struct RgLruLayer {
    checkpoint::RgLruSpec spec{};
    Linear branch{};               ///< what is activated
    Linear input{};                ///< what is convolved
    at::Tensor kernel{};           ///< [C, 1, W]
    at::Tensor kernel_bias{};      ///< [C]
    at::Tensor decay_rate{};       ///< [C], before its softplus
    at::Tensor input_gate{};       ///< [heads, C / heads, C / heads]: inputs, outputs
    at::Tensor input_gate_bias{};  ///< [heads, C / heads]
    at::Tensor decay_gate{};
    at::Tensor decay_gate_bias{};
    Linear output{};
};

RgLruLayer load_mixer(const checkpoint::RgLruSpec& spec, const LayerWeights& weights);

/// Mixes tokens.
/// Shapes: x [B, T, d] -> [B, T, d]. `states` is empty (a whole text at once) or has one state
/// for each sequence, which is read and moved on.
at::Tensor mix(const RgLruLayer& layer,
               const at::Tensor& x,
               const Call& call,
               std::span<LayerState* const> states);

/// What is kept of a sequence before its first token.
LayerState make_state(const RgLruLayer& layer, const CacheOptions& options);

/// Values that a token leaves for the backward pass.
std::uint64_t count_kept_values(const RgLruLayer& layer);

}  // namespace anamnesis::runtime
