// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "anamnesis/runtime/torch.hpp"

#include <cstddef>
#include <cstdint>
#include <span>

#include "anamnesis/checkpoint/mixers/jet.hpp"

#include "layer_call.hpp"
#include "layer_weights.hpp"
#include "linear.hpp"
#include "norm.hpp"

namespace anamnesis::runtime {

/// Gated delta rule whose values pass a convolution with a kernel made from the input.
struct JetLayer {
    checkpoint::JetSpec spec{};
    Linear q_proj{}, k_proj{}, v_proj{}, a_proj{}, b_proj{}, g_proj{}, o_proj{};
    Linear generator_in{}, generator_out{};
    at::Tensor log_rate{};  ///< A_log [heads]
    at::Tensor dt_bias{};   ///< [heads]
    RmsNorm norm{};
};

JetLayer load_mixer(const checkpoint::JetSpec& spec, const LayerWeights& weights);

/// Mixes tokens.
/// Shapes: x [B, T, d] -> [B, T, d]. `states` is empty (a whole text at once) or has one state
/// for each sequence, which is read and moved on.
at::Tensor mix(const JetLayer& layer,
               const at::Tensor& x,
               const Call& call,
               std::span<LayerState* const> states);

/// What is kept of a sequence before its first token.
LayerState make_state(const JetLayer& layer, const CacheOptions& options);

/// Values that a token leaves for the backward pass: as the gated delta rule, and the
/// kernels.
std::uint64_t count_kept_values(const JetLayer& layer);

}  // namespace anamnesis::runtime
