// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "anamnesis/checkpoint/blueprint.hpp"
#include "anamnesis/checkpoint/config_reader.hpp"

#include "attention_rules.hpp"
#include "layer_tensors.hpp"

/// What families with latent attention (DeepSeek, Kimi, Ling) have in common.
namespace anamnesis::checkpoint {

/// Latent attention with the blueprint's rotary encoding. The logits' scale is that of the heads,
/// times YaRN's for all dimensions, squared.
/// Source: transformers 5.23, modeling_deepseek_v3.py, yarn_apply_mscale.
LatentAttentionSpec make_latent_attention(const Blueprint& blueprint,
                                          const LatentAttention& attention);

/// For each layer whether it has experts: `mlp_layer_types`, or every `moe_layer_freq`th layer from
/// `first_k_dense_replace` on.
/// Errors: `malformed` for an unknown word or a list of another length.
std::vector<bool> find_sparse_layers(const ConfigReader& config,
                                     std::size_t layers,
                                     std::uint32_t default_dense);

/// What the library of such experts fills in.
struct LatentMixtureDefaults {
    std::uint32_t experts = 0;
    std::uint32_t experts_per_token = 0;
    std::uint32_t width = 0;
    std::uint32_t shared = 1;  ///< experts that every token takes, held as one
};
/// Experts and their shared one. The router is the family's.
MixtureSpec read_latent_mixture(const ConfigReader& config, const LatentMixtureDefaults& defaults);

/// Where such experts are: the shared one in `shared_experts`; `correction` is the router's.
Module make_mixture_module(std::string_view name, std::string_view correction);

/// The feed-forwards of DeepSeek V2 and V3, and what their libraries fill in.
struct DeepseekFeedForwards {
    MixtureSpec experts{};
    std::uint32_t default_width = 0;  ///< of dense layers
    std::uint32_t default_dense = 0;  ///< layers at the beginning
};
/// Lists a body whose layers all have latent attention.
void plan_deepseek_body(Blueprint& blueprint,
                        const ConfigReader& config,
                        const DeepseekFeedForwards& feed_forwards);

}  // namespace anamnesis::checkpoint
