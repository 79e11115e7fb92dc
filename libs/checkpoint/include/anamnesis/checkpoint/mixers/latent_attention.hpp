// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "anamnesis/checkpoint/rotary_settings.hpp"

namespace anamnesis::checkpoint {

class LayerTensors;

namespace role {

inline constexpr std::string_view query_input = "query_input";  ///< where queries are low-rank
inline constexpr std::string_view query_input_norm = "query_input_norm";
inline constexpr std::string_view latent = "latent";  ///< latents, then keys that all heads share
inline constexpr std::string_view latent_norm = "latent_norm";
inline constexpr std::string_view key_value = "key_value";  ///< of latents

}  // namespace role

/// Softmax attention whose keys and values are made of one latent for each token, and whose keys
/// have a part that all heads share.
/// Source: DeepSeek-AI 2024, "DeepSeek-V2", section 2.1.
struct LatentAttentionSpec {
    std::uint32_t heads = 0;
    std::uint32_t nope_dim = 0;   ///< rows of a key that come from the latent
    std::uint32_t rope_dim = 0;   ///< rows of a key that all heads share
    std::uint32_t value_dim = 0;  ///< of one head
    std::uint32_t kv_rank = 0;    ///< width of a latent
    std::optional<std::uint32_t> query_rank{};
    std::optional<RotarySettings> rotary{};  ///< of the shared rows; absent: they are not turned
    bool pairs_neighbours = true;            ///< row 2j turns with row 2j + 1, else halves do
    bool has_head_gate = false;              ///< sigmoid of one value for each head (Ling)
    double scale = 1.0;                      ///< of the logits
    double norm_eps = 1e-6;

    std::uint32_t key_dim() const { return nope_dim + rope_dim; }
    std::uint32_t cached_dim() const { return kv_rank + rope_dim; }
};

/// Lists what the blueprint's rules have, `o_proj`, and `g_proj` where heads are gated.
void list_tensors(const LatentAttentionSpec& spec, LayerTensors& tensors);

}  // namespace anamnesis::checkpoint
