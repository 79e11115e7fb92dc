// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "anamnesis/checkpoint/blueprint.hpp"
#include "anamnesis/checkpoint/config_reader.hpp"
#include "anamnesis/checkpoint/model.hpp"

#include "attention_rules.hpp"
#include "layer_plan.hpp"
#include "spec_parts.hpp"

/// What several families have in common.
namespace anamnesis::checkpoint {

/// The softmax attention of full and of sliding layers.
struct SoftmaxKinds {
    AttentionSpec full{};
    AttentionSpec sliding{};
};

/// Softmax over the whole context in every layer.
std::vector<Layer> read_full_layers(const ConfigReader& config);
/// A window in the config makes every layer sliding.
std::vector<Layer> read_layers_by_window(const ConfigReader& config);
/// Listed, or sliding from `max_window_layers` on (Qwen2, Qwen3).
std::vector<Layer> read_qwen_layers(const ConfigReader& config);
/// Listed, or softmax in every `full_attention_interval`th layer (Qwen3-Next, Qwen3.5).
std::vector<Layer> read_layers_by_interval(const ConfigReader& config, std::uint32_t default_count);
/// The last layer of every group; with `has_tail` also every layer after the last whole group.
std::vector<Layer> read_last_of_groups(const ConfigReader& config,
                                       LayerKind softmax,
                                       bool has_tail);
/// Listed, or convolutions but for `full_attn_idxs` (LFM2).
std::vector<Layer> read_lfm2_layers(const ConfigReader& config);

/// Required where the flag says so.
Presence read_bias(const ConfigReader& config,
                   bool fallback = false,
                   std::string_view key = "attention_bias");

/// Heads, and q_proj, k_proj and v_proj under `module`.
void plan_separate(Blueprint& blueprint,
                   const ConfigReader& config,
                   Presence bias,
                   const HeadDefaults& defaults = {},
                   std::string_view module = "self_attn");

/// The same with rotary encoding and nothing else (Llama).
void plan_llama_attention(Blueprint& blueprint, const ConfigReader& config);
/// With biases (Qwen2).
void plan_qwen2_attention(Blueprint& blueprint, const ConfigReader& config);
/// With gains for each head (Qwen3).
void plan_qwen3_attention(Blueprint& blueprint, const ConfigReader& config);
/// The same with other heads than Qwen3's where a config states none.
void plan_normed_attention(Blueprint& blueprint,
                           const ConfigReader& config,
                           const HeadDefaults& defaults);
/// Output gates in q_proj (Qwen3-Next, Qwen3.5).
void plan_gated_attention(Blueprint& blueprint,
                          const ConfigReader& config,
                          const HeadDefaults& defaults);
/// Gemma without QK-norm.
void plan_gemma_attention(Blueprint& blueprint, const ConfigReader& config);
/// Its heads and scale alone.
void plan_gemma_heads(Blueprint& blueprint,
                      const ConfigReader& config,
                      const HeadDefaults& defaults);
/// Errors: `unsupported` where the config asks for attention in both directions.
void refuse_encoder(const ConfigReader& config);
/// Norms on both sides of both branches, and a dense feed-forward of `hidden_activation` (Gemma 2
/// and 3).
void plan_sandwich_body(Blueprint& blueprint,
                        const ConfigReader& config,
                        const SoftmaxKinds& kinds);
void plan_lfm2_attention(Blueprint& blueprint, const ConfigReader& config);
/// Latent attention of DeepSeek V2 and V3.
LatentAttention read_deepseek_attention(const ConfigReader& config);
void plan_deepseek_attention(Blueprint& blueprint, const ConfigReader& config);
/// Latent attention of Ring 2.5 and Bailing hybrids.
void plan_bailing_latent_attention(Blueprint& blueprint, const ConfigReader& config);

/// Falcon, BLOOM and StarCoder say `transformer.h.{l}.`, which no other family here does: also for
/// what `plan_body` lists.
void add_in_transformer_h(Blueprint& blueprint, const FusedProjection& projection);

/// LayerNorm with the eps that `key` states, else 1e-5.
void use_layer_norm(Blueprint& blueprint, const ConfigReader& config, std::string_view key);
/// Up, activation, down, without a gate.
DenseSpec make_plain_dense(std::uint32_t width, Activation activation);

/// Where a config leaves tie_word_embeddings out.
void tie_head_by_default(Blueprint& blueprint);

/// Every layer of the softmax kinds has softmax attention, then a SwiGLU (Llama, Qwen2, Qwen3).
void plan_softmax_layers(Blueprint& blueprint, const ConfigReader& config);

/// As `make_attention` has it, with the config's window for sliding layers.
SoftmaxKinds make_softmax_kinds(const Blueprint& blueprint,
                                const ConfigReader& config,
                                std::optional<std::uint32_t> default_window = {});
/// The base of rotary encoding where the config states none.
void set_default_theta(SoftmaxKinds& kinds, const Blueprint& blueprint, double theta);
/// The one that a layer has. Errors: `malformed` for a sliding layer without a window.
const AttentionSpec& choose_attention(const SoftmaxKinds& kinds, const Layer& layer);

/// Every layer has softmax attention, and is else as `like` says.
void plan_softmax_body(Blueprint& blueprint,
                       const SoftmaxKinds& kinds,
                       const LayerPlan& like,
                       const BodyNames& names = {});

/// Softmax attention, then experts but in the layers that the config makes dense (Qwen2-MoE,
/// Qwen3-MoE).
void plan_qwen_mixtures(Blueprint& blueprint,
                        const ConfigReader& config,
                        const QwenMixtureDefaults& defaults);

/// What names of layers tell a checkpoint of Llama's parts without a config.
std::vector<std::string_view> llama_parts();
std::vector<std::string_view> qwen3_parts();

}  // namespace anamnesis::checkpoint
