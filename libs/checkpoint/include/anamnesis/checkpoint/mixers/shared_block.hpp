// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "anamnesis/base/index.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/feed_forwards/dense.hpp"
#include "anamnesis/checkpoint/mixers/attention.hpp"
#include "anamnesis/checkpoint/mixers/mamba2.hpp"

namespace anamnesis::checkpoint {

class LayerTensors;

namespace role {

inline constexpr std::string_view block_norm = "block_norm";
inline constexpr std::string_view block_feed_forward_norm = "block_feed_forward_norm";
inline constexpr std::string_view block_output = "block_output";
inline constexpr std::string_view mamba_norm = "mamba_norm";

/// One of the two matrices that add a product of low rank to what the matrix of role `matrix`
/// gives.
inline std::string to_adapter_input_role(std::string_view matrix) {
    return std::string(matrix) + ".adapter.input";
}
inline std::string to_adapter_output_role(std::string_view matrix) {
    return std::string(matrix) + ".adapter.output";
}
/// Of a copy that a layer has of a tensor which another layer stores for it.
inline std::string to_own_role(std::string_view shared) {
    return format("own.{}", shared);
}

}  // namespace role

/// A state space that reads the stream and, beside it, what a transformer block makes of the stream
/// and of the embeddings; several layers share the block, each with adapters of its own.
///
///     t = linear(mlp(norm(attention(norm([x | e])))))
///     mamba(norm(x + t))
///
/// Source: Glorioso et al. 2024, "The Zamba2 Suite"; transformers 5.23, modeling_zamba2.py.
struct SharedBlockSpec {
    AttentionSpec attention{};  ///< of inputs twice as wide as the stream
    DenseSpec feed_forward{};
    Mamba2Spec mamba{};
    double norm_eps = 1e-5;
    std::uint32_t user = 0;          ///< number among the layers that use blocks
    LayerIndex home{};               ///< the layer that stores the block
    std::uint32_t adapter_rank = 0;  ///< 0: no adapters
    bool adapts_attention = false;   ///< queries, keys and values too
};

/// The block in "shared_transformer", the state space in "mamba_decoder".
void list_tensors(const SharedBlockSpec& spec, LayerTensors& tensors);

}  // namespace anamnesis::checkpoint
