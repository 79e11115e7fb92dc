// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "anamnesis/base/index.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/model.hpp"

namespace anamnesis::runtime {

/// How a stored norm weight w acts on the normalised value.
enum class Gain : std::uint8_t {
    plain,   ///< w * x
    offset,  ///< (1 + w) * x: Qwen3-Next, Qwen3.5
};

/// Rotary position encoding of the first `dimensions` rows of a head, halves paired: row j turns
/// with row j + dimensions / 2.
struct RotarySpec {
    std::uint32_t dimensions = 0;
    std::vector<double> frequencies{};  ///< radians per position, one for each pair
    double magnitude = 1.0;             ///< factor on cosine and sine (YaRN)
};

/// HypeNet's factor on the query at position p: ln(p + offset) / ln(offset), or a constant.
struct LengthScaling {
    std::optional<double> constant{};
    std::uint64_t offset = 0;
};

enum class OutputGate : std::uint8_t {
    none,
    separate,     ///< a projection of its own, `o_gate` (HypeNet)
    interleaved,  ///< rows of q_proj: head by head, query then gate (Qwen3-Next, Qwen3.5)
};

/// Softmax attention with grouped queries.
struct AttentionSpec {
    HeadLayout heads{};
    std::optional<RotarySpec> rotary{};
    checkpoint::QkNorm qk_norm = checkpoint::QkNorm::none;
    OutputGate gate = OutputGate::none;
    std::optional<std::uint32_t> window{};  ///< keys a query sees, itself included
    std::optional<LengthScaling> scaling{};
};

/// Linear attention with a fixed decay for each head.
struct LightningSpec {
    HeadLayout heads{};
    double scale = 1.0;
    std::optional<RotarySpec> rotary{};
    bool has_qk_norm = false;
    bool has_output_norm = false;  ///< over all heads together
    bool has_output_gate = false;
};

/// How the projections of a gated-delta layer lie on disk.
enum class DeltaProjections : std::uint8_t {
    grouped,   ///< in_proj_qkvz, in_proj_ba: key head by key head (Qwen3-Next)
    plain,     ///< in_proj_qkv, in_proj_z, in_proj_b, in_proj_a (Qwen3.5)
    separate,  ///< q_proj, k_proj, v_proj with a convolution each (OLMo hybrid)
};

/// Gated delta rule behind short convolutions.
struct GatedDeltaSpec {
    std::uint32_t key_heads = 0;
    std::uint32_t value_heads = 0;
    std::uint32_t key_dim = 0;    ///< of one head
    std::uint32_t value_dim = 0;  ///< of one head
    std::uint32_t conv_width = 0;
    DeltaProjections projections = DeltaProjections::plain;
    double beta_range = 1.0;  ///< beta lies in (0, beta_range)
    double norm_eps = 1e-6;
};

/// Gated delta rule whose values pass a convolution with a kernel made from the input (Jet).
struct JetSpec {
    std::uint32_t heads = 0;
    std::uint32_t key_dim = 0;    ///< of one head
    std::uint32_t value_dim = 0;  ///< of one head
    std::uint32_t conv_width = 0;
    std::uint32_t generator_width = 0;
    double norm_eps = 1e-5;
};

using MixerSpec = std::variant<AttentionSpec, LightningSpec, GatedDeltaSpec, JetSpec>;

/// SwiGLU.
struct DenseSpec {
    std::uint32_t width = 0;
};

/// SwiGLU experts behind a router, and one that every token takes.
struct MixtureSpec {
    std::uint32_t experts = 0;
    std::uint32_t experts_per_token = 0;
    std::uint32_t expert_width = 0;
    std::uint32_t shared_width = 0;
    bool is_renormalised = true;  ///< the chosen experts' weights sum to one
};

using MlpSpec = std::variant<DenseSpec, MixtureSpec>;

struct LayerSpec {
    MixerSpec mixer;
    std::string mixer_name;  ///< "self_attn" or "linear_attn"
    MlpSpec mlp;
    /// Norms stand before mixer and MLP; in OLMo's softmax layers behind them.
    bool has_norms_behind = false;
    std::string mixer_norm;  ///< names within the layer
    std::string mlp_norm;
};

/// Everything about a model but its weights: what each layer computes, with which sizes, under
/// which names.
/// Source: the modeling code of each family; docs/runtime.md.
struct ModelSpec {
    std::string family;
    std::string prefix;  ///< "model." or "model.language_model."
    std::uint32_t hidden_size = 0;
    std::uint32_t vocabulary_size = 0;
    std::uint32_t context_length = 0;  ///< max_position_embeddings
    double norm_eps = 1e-6;
    Gain gain = Gain::plain;
    bool is_head_tied = false;
    std::vector<LayerSpec> layers;
};

/// Reads the spec of a recognised checkpoint.
/// Errors: `unsupported` for a family that does not run, or a feature that is not implemented
/// (named); `malformed` for sizes that cannot be.
ModelSpec describe(const checkpoint::Checkpoint& checkpoint, const checkpoint::Model& model);

/// The length scaling that a word means: "none", a number, "hype" or "hype A".
/// Errors: `malformed`, naming the word.
std::optional<LengthScaling> length_scaling_of(std::string_view word);

}  // namespace anamnesis::runtime
