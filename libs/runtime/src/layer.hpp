// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "anamnesis/runtime/torch.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <variant>
#include <vector>

#include "anamnesis/runtime/model_spec.hpp"
#include "anamnesis/runtime/network.hpp"

#include "key_value_cache.hpp"
#include "linear.hpp"
#include "norm.hpp"
#include "rotary.hpp"

namespace anamnesis::runtime {

/// What one layer keeps of one sequence.
struct LayerState {
    std::optional<KeyValueCache> cache{};  ///< softmax layers
    at::Tensor recurrent{};                ///< [1, H, K, V] float32; undefined: zero
    at::Tensor past{};                     ///< [1, W - 1, C] inputs of a convolution; or undefined
};

/// What all layers of one call share.
struct Call {
    std::vector<std::int64_t> starts;    ///< position of the first token, for each sequence
    std::vector<RotaryTables> tables{};  ///< one for each rotary encoding of the model
    std::size_t layer = 0;               ///< the one that is computed
    const AttentionObserver* attention = nullptr;
};

struct AttentionLayer {
    AttentionSpec spec{};
    Linear q_proj{}, k_proj{}, v_proj{}, o_proj{};
    Linear o_gate{};
    RmsNorm q_norm{}, k_norm{};
    std::size_t table = 0;  ///< into Call::tables, where spec.rotary is set
};

struct LightningLayer {
    LightningSpec spec{};
    Linear q_proj{}, k_proj{}, v_proj{}, o_proj{};
    Linear z_proj{};
    RmsNorm q_norm{}, k_norm{}, o_norm{};
    at::Tensor log_decay{};  ///< [heads]
    std::size_t table = 0;
};

/// Projections come as one matrix, or as several whose outputs are joined.
struct GatedDeltaLayer {
    GatedDeltaSpec spec{};
    std::vector<Linear> in_proj{};  ///< grouped: qkvz, ba; otherwise q|k|v (one or three), z, b, a
    std::vector<at::Tensor> kernels{};  ///< [channels, 1, W]; together all q, all k, all v
    at::Tensor log_rate{};              ///< A_log [value_heads]
    at::Tensor dt_bias{};               ///< [value_heads]
    RmsNorm norm{};
    Linear out_proj{};
};

struct JetLayer {
    JetSpec spec{};
    Linear q_proj{}, k_proj{}, v_proj{}, a_proj{}, b_proj{}, g_proj{}, o_proj{};
    Linear generator_in{}, generator_out{};
    at::Tensor log_rate{};
    at::Tensor dt_bias{};
    RmsNorm norm{};
};

using Mixer = std::variant<AttentionLayer, LightningLayer, GatedDeltaLayer, JetLayer>;

/// Mixes tokens.
/// Shapes: x [B, T, d] -> [B, T, d]. `states` is empty (a whole text at once) or has one state
/// for each sequence, which is read and moved on.
at::Tensor mix(const AttentionLayer& layer,
               const at::Tensor& x,
               const Call& call,
               std::span<LayerState* const> states);
at::Tensor mix(const LightningLayer& layer,
               const at::Tensor& x,
               const Call& call,
               std::span<LayerState* const> states);
at::Tensor mix(const GatedDeltaLayer& layer,
               const at::Tensor& x,
               const Call& call,
               std::span<LayerState* const> states);
at::Tensor mix(const JetLayer& layer,
               const at::Tensor& x,
               const Call& call,
               std::span<LayerState* const> states);

struct DenseMlp {
    Linear gate_proj{}, up_proj{}, down_proj{};
};

struct MixtureMlp {
    MixtureSpec spec{};
    Linear router{};
    std::vector<DenseMlp> experts{};
    DenseMlp shared{};
    Linear shared_gate{};
};

using Mlp = std::variant<DenseMlp, MixtureMlp>;

/// Shapes: x [B, T, d] -> [B, T, d].
at::Tensor apply(const DenseMlp& mlp, const at::Tensor& x);
at::Tensor apply(const MixtureMlp& mlp, const at::Tensor& x);

struct Layer {
    Mixer mixer;
    Mlp mlp;
    RmsNorm mixer_norm;
    RmsNorm mlp_norm;
    bool has_norms_behind = false;
};

}  // namespace anamnesis::runtime
